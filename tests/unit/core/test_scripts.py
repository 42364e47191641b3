"""Rules and similarity treat all scripts like English."""

from collections import Counter

import pytest

from schemas import ids
from schemas.events import Instruction, InstructionsGenerated
from schemas.policy import RuleName, policy_for, policy_with
from schemas.seeds import SeedTask
from streams.core import decider
from streams.core.rules import broken_rule
from streams.core.scripts import begins_with, count_words
from tests.unit.core.conftest import fresh_state

ALL = policy_for(tokenizer="unicode", clusters=1, threshold=0.94)

ARTICLE_1 = {  # of the Universal Declaration of Human Rights; 30 words in English
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
    "begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью "
    "и должны поступать в отношении друг друга в духе братства.",
    "Arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. "
    "وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم بعضًا بروح الإخاء.",
    "Chinese": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "Japanese": "すべての人間は、"
    "生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを"
    "授けられており、互いに同胞の精神をもって行動しなければならない。",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 "
    "부여받았으며 서로 형제애의 정신으로 행동하여야 한다.",
}

# The same tasks in each language: what is asked, and what of.
ASKED = {
    "English": (
        "Explain in two sentences what {} is good for.",
        "Write a short story about {} for a child.",
        "Compare {} of today with that of a hundred years ago.",
        "List five surprising facts about {}.",
        "Name {}.",
        '"{}": what does this word mean to you?',
    ),
    "German": (
        "Erkläre in zwei Sätzen, wozu {} gut ist.",
        "Übersetze eine kurze Geschichte über {} für ein Kind.",
        "Vergleiche {} von heute mit der Zeit vor hundert Jahren.",
        "Liste fünf überraschende Tatsachen über {} auf.",
        "Nenne {}.",
        "„{}“: Was bedeutet dieses Wort für dich?",
    ),
    "Russian": (
        "Объясни в двух предложениях, для чего нужно {}.",
        "Напиши короткий рассказ про {} для ребёнка.",
        "Сравни {} сегодня с тем, что было сто лет назад.",
        "Перечисли пять удивительных фактов про {}.",
        "Назови {}.",
        "«{}»: что значит для тебя это слово?",
    ),
    "Arabic": (
        "اشرح في جملتين ما هي فائدة {} في الحياة.",
        "اكتب قصة قصيرة عن {} لطفل صغير.",
        "قارن بين {} اليوم وقبل مائة عام من الآن.",
        "اذكر خمس حقائق مدهشة عن {} للقارئ.",
        "اذكر {}.",
        "«{}»: ماذا تعني لك هذه الكلمة؟",
    ),
    "Chinese": (
        "请用两句话解释{}到底有什么用处。",
        "给小孩子写一个关于{}的短篇故事。",
        "把今天的{}和一百年前的情况作一个比较。",
        "列出关于{}的五个令人惊讶的事实。",
        "说{}。",
        "“{}”:这个词对你来说意味着什么?",
    ),
}
THINGS = {
    "English": ("bread", "gravity", "sleep", "honey", "salt", "chess"),
    "German": ("Brot", "Schwerkraft", "Schlaf", "Honig", "Salz", "Schach"),
    "Russian": ("хлеб", "притяжение", "сон", "мёд", "соль", "шахматы"),
    "Arabic": ("الخبز", "الجاذبية", "النوم", "العسل", "الملح", "الشطرنج"),
    "Chinese": ("面包", "引力", "睡眠", "蜂蜜", "食盐", "象棋"),
}


@pytest.mark.parametrize("language", ARTICLE_1)
def test_a_text_is_about_as_long_as_its_translation(language: str) -> None:
    assert 18 <= count_words(ARTICLE_1[language]) <= 36


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("¿Cómo se hace el pan en casa?", None),
        ("¡Explica la gravedad a un niño!", None),
        ("Übersetze diesen Satz ins Englische.", None),
        ("Объясни мне закон притяжения.", None),
        ("اشرح لي قانون الجاذبية ببساطة", None),
        ("\u200fاشرح لي قانون الجاذبية ببساطة", None),
        ("请用三句话解释光合作用。", None),
        ("画图", "too_short"),
        ("解释" * 150, "too_long"),
        ("解释" * 100, None),
        ("слово " * 151, "too_long"),
        ("Объясни притяжение детям", "too_short"),
        ("« Le pain » : que veut dire ce mot ?", "starts_with_punctuation"),
        ("。请用三句话解释光合作用。", "starts_with_punctuation"),
        ("🙂 explain in two sentences how it works", "starts_non_ascii"),
        ("€ 5 for a loaf: is this much?", "starts_non_ascii"),
        ("\u200f", "too_short"),
        ("", "too_short"),
    ],
)
def test_rules_count_and_read_what_the_script_has(text: str, reason: RuleName | None) -> None:
    assert broken_rule(Instruction(instruction=text, output="x"), ALL) == reason


@pytest.mark.parametrize("language", ASKED)
def test_a_run_in_another_language_keeps_and_rejects_what_one_in_english_does(language: str) -> None:
    assert _verdicts(language) == _verdicts("English")
    assert len(_verdicts("English")) == 4, "kept, and three reasons to reject"


def test_only_the_unicode_tokenizer_brings_it_and_a_run_that_has_none_keeps_its_rules() -> None:
    assert policy_for(tokenizer="unicode").rule_scripts == "all"
    assert policy_for(tokenizer="unicode", rule_scripts="ascii").rule_scripts == "ascii"
    assert policy_for().rule_scripts == "ascii"
    assert policy_with(policy_for(tokenizer="unicode", rule_scripts="ascii"), threshold=0.5).rule_scripts == "ascii"
    assert begins_with("\ud800") == "other"


def _verdicts(language: str) -> Counter[str]:
    """How many tasks of each kind were kept, or rejected for which reason, each task written twice."""
    things = THINGS[language]
    seeds = [SeedTask(id=f"s{n}", instruction=ASKED[language][n].format("…"), output="x") for n in range(3)]
    state = fresh_state(ALL, seeds)
    found: Counter[str] = Counter()
    for number, thing in enumerate(things * 2):
        tasks = tuple(Instruction(instruction=asked.format(thing), output="x") for asked in ASKED[language])
        event = InstructionsGenerated(
            lane="main",
            number=number,
            style="alpaca",
            parser="strict",
            backend="recorded",
            model="m",
            parameters={},
            seed_ids=("s0",),
            seed_commands_offset=-1,
            answers=(),
            instructions=tasks,
            unparsed=(),
            cost_usd=None,
        )
        verdict = decider.decide(state, number, ids.generation_id("main", number), event)
        found["kept"] += len(verdict.decision.kept)
        found.update(rejection.reason for rejection in verdict.rejected.rejections)
        decider.apply(state, verdict.decision)
    return found
