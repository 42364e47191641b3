"""The words of the load model's instructions, frequent ones first.

A form is the beginning of a sentence: `{verb}` is one of the form's interchangeable verbs, `{kind}` a kind of text.
After it come a quality, a thing, an owner and a place. The forms' first verbs are in the order of the first words of
26,000 published Alpaca instructions (docs/decisions/load-model.md). No word here breaks a rule of `streams.core.rules`,
except those in `UNSUITABLE`.
"""


def _listed(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text.split()).split(", "))


FORMS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("Generate", "Produce"), "{verb} {kind} about"),
    (("Create", "Prepare"), "{verb} {kind} on"),
    (("Describe", "Portray"), "{verb}"),
    (("Write", "Compose"), "{verb} {kind} inspired by"),
    (("What is special", "What is interesting"), "{verb} about"),
    (("Given", "Having"), "{verb} {kind}, say something new about"),
    (("Explain", "Clarify"), "{verb} the use of"),
    (("Name", "Mention"), "{verb} five problems with"),
    (("Identify", "Spot"), "{verb} the risks of"),
    (("Find", "Locate"), "{verb} three alternatives to"),
    (("Rewrite", "Rephrase"), "{verb} {kind} mentioning"),
    (("List", "Enumerate"), "{verb} all the parts of"),
    (("Classify", "Categorize"), "{verb} these remarks on"),
    (("Suggest", "Propose"), "{verb} a replacement for"),
    (("Give", "Offer"), "{verb} an example of {kind} praising"),
    (("How should beginners", "How could beginners"), "{verb} treat"),
    (("Summarize", "Condense"), "{verb} the history of"),
    (("Provide", "Collect"), "{verb} arguments against"),
    (("Construct", "Build"), "{verb} a sentence around"),
    (("Design", "Devise"), "{verb} a weekly plan for"),
    (("Edit", "Correct"), "{verb} {kind} dealing with"),
    (("Come", "Show"), "{verb} up with a slogan for"),
    (("Compare", "Contrast"), "{verb} two views of"),
    (("Convert", "Turn"), "{verb} into {kind} the tale of"),
    (("Analyze", "Examine"), "{verb} the market for"),
    (("Calculate", "Estimate"), "{verb} the yearly cost of"),
    (("Make", "Draft"), "{verb} a checklist before buying"),
    (("Tell", "Remind"), "{verb} a child about"),
    (("Develop", "Outline"), "{verb} a short course on"),
    (("Translate", "Render"), "{verb} into French {kind} concerning"),
    (("Brainstorm", "Gather"), "{verb} unusual uses of"),
    (("Evaluate", "Assess"), "{verb} the value of"),
    (("Predict", "Foresee"), "{verb} the future of"),
    (("Imagine", "Suppose"), "{verb} losing"),
    (("Recommend", "Choose"), "{verb} a gift that goes with"),
    (("Discuss", "Debate"), "{verb} the ethics of owning"),
)

OWNERS: tuple[str, ...] = _listed(
    """
    , that nobody wanted, owned by a retired pilot, from the last century, painted by children, which never
    broke, made of scrap, sold too early, with a strange smell, left to a nephew, that saves energy, run by
    volunteers, older than its owner, everybody laughs at, bought by mistake, kept under lock, without any
    instructions, named after a queen, that won a prize, missing one part, built in a week, fit for a giant,
    shown to tourists, repaired many times, no bigger than a shoe, worth a fortune, that talks, of unknown
    origin, lent to strangers, designed by engineers, loved by cats, hated by neighbours, full of surprises,
    under construction, of the cheapest sort, used by two families, with poor reviews, found in an attic,
    powered by wind, destined for recycling, once thought lost, covered in snow, ordered online, shared by
    students, known from television, guarded by a dog, too loud for sleepers, as light as paper, never tested
    before, inherited from grandmother
    """
)

KINDS: tuple[str, ...] = _listed(
    """
    a short story, a poem, a letter, an essay, a dialogue, a paragraph, a product description, a headline, an
    email, a blog post, a speech, a review, a recipe, a riddle, a joke, an advertisement, a quiz, a haiku, a
    complaint, a news report, a diary entry, an invitation, a fable, a set of rules, a tagline, a cover letter,
    a proverb, a limerick, a scene, an interview, a guide, a warning, a prayer, an anecdote, a thank-you note, a
    contract clause, a bedtime tale, a monologue, a toast, an obituary
    """
)

QUALITIES: tuple[str, ...] = tuple(
    """
    small modern broken reliable expensive wooden electric public old foldable quiet portable rusty shared
    borrowed antique green heavy smart cheap waterproof forgotten handmade noisy famous stolen solar plastic
    golden dusty fragile oversized digital hidden striped leather frozen secret bamboo crooked magnetic imported
    faded sturdy miniature glowing crowded empty recycled polished haunted sealed painted hollow
    """.split()
)

THINGS: tuple[str, ...] = _listed(
    """
    bicycle, garden, library, kitchen, river, bridge, market, school, clock, boat, lamp, museum, train, farm,
    bakery, telescope, forest, hospital, keyboard, umbrella, island, tractor, engine, mirror, theatre, compass,
    blanket, robot, lighthouse, tunnel, guitar, orchard, battery, desk, suitcase, greenhouse, violin, castle,
    calendar, harbour, kettle, ladder, printer, tent, wallet, balcony, camera, dictionary, elevator, fountain,
    glove, hammer, jacket, kite, laundry, mailbox, necklace, oven, piano, quilt, radio, saddle, table, vase,
    wheelchair, yacht, zipper, anchor, barn, candle, drum, easel, fence, gate, helmet, inkwell, jug, kayak,
    locker, mattress, notebook, oar, pillow, raft, scarf, trumpet, vault, windmill, pharmacy, bench, cellar,
    dam, envelope, ferry, gym, hotel, igloo, jar, kennel, loom, mill, nursery, office, pump, quarry, reservoir,
    sofa, tower, van, warehouse, abacus, beehive, canoe, doorbell, fireplace, globe, hammock, incubator,
    jukebox, kiln, lantern, microscope, nest, observatory, pottery, refrigerator, sewing machine, thermometer,
    vineyard, well, aquarium, backpack, chimney, dishwasher, escalator, flute, generator, heater, instrument,
    journal, kiosk, lawnmower, monument, needle, oilcan, parachute, rake, scooter, typewriter, wardrobe,
    airport, bookshelf, cupboard, drone
    """
)

PLACES: tuple[str, ...] = _listed(
    """
    at home, in a village, in the city, at school, in winter, on a farm, at sea, in the mountains, at work, in
    Japan, during a storm, in the desert, on holiday, at night, in a hospital, in Brazil, on a tight budget, in
    a small flat, before sunrise, in the tropics, on the moon, at a fair, in Egypt, among friends, in a hurry,
    in ancient Rome, at the airport, in old age, under water, in Canada, during the harvest, at a wedding, in
    the library, without electricity, in the suburbs, by the lake, in wartime, on a train, in Kenya, with little
    time, in a factory, at the station, in spring, across the border, in the dark, for the first time, in
    Norway, on an island, behind the house, in a heat wave, near the coast, after the flood
    """
)

UNSUITABLE = _listed("picture, map, video, diagram, piece of music, graph")

SHORT = _listed("Explain this., Why not?, Say more., Try again., Be brief., Go on.")

CHATTER: tuple[str, ...] = (
    "Sure, here is what came to mind, although it is not quite what was wanted.",
    "The following is a summary of the text above.",
    "I hope that this is of some use to you.",
    "This is a good question, and the answer depends on many things.",
)
