//! The longest common subsequence of one text with many, bit-parallel (Hyyrö 2004): a bit for each token of the one
//! text, and for each token of the other one addition. Short texts are compared four at a time, which keeps a processor
//! busy that would wait for one addition after the other.

pub const LANES: usize = 4;
const BLOCK: usize = 32; // tokens, after which it is asked whether enough can still be found
const MOST_MASKS: usize = 1 << 18; // words: two megabytes
const TRIED: u32 = 128; // after so many texts the bound by bags goes on only if it rules enough out

/// A text prepared for comparisons. Its tables are reused from text to text.
#[derive(Default)]
pub struct Query {
    length: usize,
    words: usize,
    codes: Vec<u32>,
    places: Vec<u32>, // by code: 1 + the number of the distinct token, 0 for a token that is not in the text
    masks: Vec<u64>,  // [1 + distinct][words]: where the token stands; the first are zeros. Empty if too many
    counts: Vec<u32>, // [distinct]: how often
    left: Vec<u32>,
    state: Vec<u64>,
    column: Column,
    tried: u32,
    ruled_out: u32,
}

/// Buffers of `word_by_word`.
#[derive(Default)]
struct Column {
    masks: Vec<u64>,    // [1 + distinct], of one word
    tokens: Vec<u32>,   // the other text, as numbers of distinct tokens
    carries: Vec<bool>, // by place in it
}

impl Query {
    /// Prepare a text; `known` is above all codes. The memory grows with the text's length, not with its square.
    pub fn prepare(&mut self, codes: &[u32], known: usize) {
        for &code in &self.codes {
            self.places[code as usize] = 0;
        }
        self.codes.clear();
        self.codes.extend_from_slice(codes);
        if self.places.len() < known {
            self.places.resize(known, 0);
        }
        self.length = codes.len();
        self.words = self.length.div_ceil(64);
        self.counts.clear();
        for &code in codes {
            if code == 0 {
                continue; // unknown: in no other text
            }
            let place = &mut self.places[code as usize];
            if *place == 0 {
                self.counts.push(0);
                *place = self.counts.len() as u32;
            }
            self.counts[*place as usize - 1] += 1;
        }
        self.masks.clear();
        let needed = (1 + self.counts.len()) * self.words;
        if needed <= MOST_MASKS {
            self.masks.resize(needed, 0);
            for (at, &code) in codes.iter().enumerate() {
                if code != 0 {
                    self.masks[self.places[code as usize] as usize * self.words + at / 64] |= 1 << (at % 64);
                }
            }
        }
        (self.tried, self.ruled_out) = (0, 0);
    }

    /// How many texts `lcs_of_lanes` takes at once; with 1, `lcs` is as fast.
    pub fn lanes(&self) -> usize {
        if self.words <= 2 {
            LANES
        } else {
            1
        }
    }

    /// The length of the longest common subsequence with each of the texts, or any number below the one `needed`.
    pub fn lcs_of_lanes(&self, texts: &[&[u32]; LANES], needed: &[usize; LANES]) -> [usize; LANES] {
        if self.words == 1 {
            self.side_by_side::<1>(texts, needed)
        } else {
            self.side_by_side::<2>(texts, needed)
        }
    }

    /// The length of the longest common subsequence with a text; any number below `needed` when it is below that.
    pub fn lcs(&mut self, text: &[u32], needed: usize) -> usize {
        match self.words {
            1 => return self.one_by_one::<1>(text, [u64::MAX; 1]),
            2 => return self.one_by_one::<2>(text, [u64::MAX; 2]),
            _ => {}
        }
        if (self.tried < TRIED || self.ruled_out * 8 > self.tried) && self.is_out_by_bags(text, needed) {
            return 0;
        }
        match self.words {
            3 => self.one_by_one::<3>(text, [u64::MAX; 3]),
            4 => self.one_by_one::<4>(text, [u64::MAX; 4]),
            5 => self.one_by_one::<5>(text, [u64::MAX; 5]),
            6 => self.one_by_one::<6>(text, [u64::MAX; 6]),
            7 => self.one_by_one::<7>(text, [u64::MAX; 7]),
            8 => self.one_by_one::<8>(text, [u64::MAX; 8]),
            _ if self.masks.is_empty() => self.word_by_word(text, needed),
            _ => self.of_many_words(text, needed),
        }
    }

    fn side_by_side<const WORDS: usize>(&self, texts: &[&[u32]; LANES], needed: &[usize; LANES]) -> [usize; LANES] {
        let shortest = texts.iter().map(|text| text.len()).min().unwrap_or(0);
        let mut states = [[u64::MAX; WORDS]; LANES];
        let mut done = 0;
        while done < shortest {
            let end = shortest.min(done + BLOCK);
            let parts = texts.map(|text| &text[done..end]);
            for at in 0..end - done {
                for (state, part) in states.iter_mut().zip(parts) {
                    step(state, self.mask::<WORDS>(part[at]));
                }
            }
            done = end;
            let hopeless = |lane: usize| zeros(&states[lane]) + texts[lane].len() - done < needed[lane];
            if done >= 2 * BLOCK && (0..LANES).all(hopeless) {
                return [0; LANES];
            }
        }
        let mut found = [0; LANES];
        for lane in 0..LANES {
            found[lane] = self.one_by_one(&texts[lane][shortest..], states[lane]);
        }
        found
    }

    fn one_by_one<const WORDS: usize>(&self, text: &[u32], mut state: [u64; WORDS]) -> usize {
        for &code in text {
            step(&mut state, self.mask::<WORDS>(code));
        }
        zeros(&state)
    }

    fn of_many_words(&mut self, text: &[u32], needed: usize) -> usize {
        let mut state = std::mem::take(&mut self.state);
        state.clear();
        state.resize(self.words, u64::MAX);
        let mut common = usize::MAX;
        for (block, some) in text.chunks(64).enumerate() {
            for &code in some {
                let start = self.places[code as usize] as usize * self.words;
                step(&mut state, &self.masks[start..start + self.words]);
            }
            if zeros(&state) + text.len() - block * 64 - some.len() < needed {
                common = 0;
                break;
            }
        }
        if common > 0 {
            common = zeros(&state);
        }
        self.state = state;
        common
    }

    /// As `of_many_words`, without masks: one word after the other goes through the whole text, and each place of it
    /// keeps what it carries into the next word.
    fn word_by_word(&mut self, text: &[u32], needed: usize) -> usize {
        let Column { masks, tokens, carries } = &mut self.column;
        masks.clear();
        masks.resize(1 + self.counts.len(), 0);
        tokens.clear();
        tokens.extend(text.iter().map(|&code| self.places[code as usize]));
        carries.clear();
        carries.resize(text.len(), false);
        let (mut common, mut left) = (0, self.length);
        for some in self.codes.chunks(64) {
            let known = || some.iter().enumerate().filter(|(_, &code)| code != 0);
            for (bit, &code) in known() {
                masks[self.places[code as usize] as usize] |= 1 << bit;
            }
            let mut state = u64::MAX;
            for (&token, carry) in tokens.iter().zip(carries.iter_mut()) {
                (state, *carry) = add(state, masks[token as usize], *carry);
            }
            for (_, &code) in known() {
                masks[self.places[code as usize] as usize] = 0;
            }
            common += state.count_zeros() as usize;
            left -= some.len();
            if common + left < needed {
                return 0;
            }
        }
        common
    }

    #[inline(always)]
    fn mask<const WORDS: usize>(&self, code: u32) -> &[u64; WORDS] {
        let start = self.places[code as usize] as usize * WORDS;
        self.masks[start..].first_chunk().unwrap_or(&[0; WORDS])
    }

    /// Whether the overlap of the two as bags, which bounds their common subsequence, is below `needed`.
    fn is_out_by_bags(&mut self, text: &[u32], needed: usize) -> bool {
        self.left.clear();
        self.left.push(0);
        self.left.extend_from_slice(&self.counts);
        let mut common = 0;
        for &code in text {
            let left = &mut self.left[self.places[code as usize] as usize];
            common += usize::from(*left > 0);
            *left = left.saturating_sub(1);
        }
        self.tried += 1;
        self.ruled_out += u32::from(common < needed);
        common < needed
    }
}

#[inline(always)]
fn step(state: &mut [u64], mask: &[u64]) {
    let mut carry = false;
    for (state, &here) in state.iter_mut().zip(mask) {
        (*state, carry) = add(*state, here, carry);
    }
}

/// One word of the state after a token, and the carry into the next word.
#[inline(always)]
fn add(state: u64, here: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = state.overflowing_add(state & here);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum | (state & !here), first | second)
}

/// The bits beyond the text's end stay set.
fn zeros(state: &[u64]) -> usize {
    state.iter().map(|state| state.count_zeros() as usize).sum()
}
