//! The longest common subsequence of one text with many, bit-parallel (Hyyrö 2004).

/// A text prepared for comparisons. Its tables are reused from text to text.
#[derive(Default)]
pub struct Query {
    length: usize,
    words: usize,
    codes: Vec<u32>,
    places: Vec<u32>, // by code: 1 + the number of the distinct token, 0 for a token that is not in the text
    masks: Vec<u64>,  // [distinct][words]: where the token stands
    counts: Vec<u32>, // [distinct]: how often
    left: Vec<u32>,
    state: Vec<u64>,
}

impl Query {
    /// Prepare a text; `known` is above all codes.
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
        self.masks.clear();
        self.counts.clear();
        for (at, &code) in codes.iter().enumerate() {
            if code == 0 {
                continue; // unknown: in no other text
            }
            let place = &mut self.places[code as usize];
            if *place == 0 {
                self.counts.push(0);
                self.masks.resize(self.counts.len() * self.words, 0);
                *place = self.counts.len() as u32;
            }
            let distinct = *place as usize - 1;
            self.counts[distinct] += 1;
            self.masks[distinct * self.words + at / 64] |= 1 << (at % 64);
        }
    }

    /// The length of the longest common subsequence with a text; any number below `needed` when it is below that.
    pub fn lcs(&mut self, text: &[u32], needed: usize) -> usize {
        if self.words == 1 {
            return self.lcs_of_one_word(text);
        }
        if self.common(text) < needed {
            return 0;
        }
        let words = self.words;
        self.state.clear();
        self.state.resize(words, u64::MAX);
        for (at, &code) in text.iter().enumerate() {
            let place = self.places[code as usize] as usize;
            if place == 0 {
                continue;
            }
            let mask = &self.masks[(place - 1) * words..place * words];
            let mut carry = false;
            for (state, &here) in self.state.iter_mut().zip(mask) {
                let both = *state & here;
                let (sum, first) = state.overflowing_add(both);
                let (sum, second) = sum.overflowing_add(u64::from(carry));
                carry = first | second;
                *state = sum | (*state & !here);
            }
            if at % 64 == 63 && self.zeros() + text.len() - at - 1 < needed {
                return 0;
            }
        }
        self.zeros()
    }

    fn zeros(&self) -> usize {
        let whole: u32 = self.state.iter().map(|state| state.count_zeros()).sum();
        whole as usize // bits beyond the text's end stay set
    }

    fn lcs_of_one_word(&self, text: &[u32]) -> usize {
        let mut state = u64::MAX;
        for &code in text {
            let place = self.places[code as usize] as usize;
            if place != 0 {
                let both = state & self.masks[place - 1];
                state = state.wrapping_add(both) | (state & !both);
            }
        }
        state.count_zeros() as usize
    }

    /// The overlap of the two as bags, which bounds their common subsequence.
    fn common(&mut self, text: &[u32]) -> usize {
        self.left.clear();
        self.left.extend_from_slice(&self.counts);
        let mut common = 0;
        for &code in text {
            let place = self.places[code as usize] as usize;
            if place != 0 && self.left[place - 1] > 0 {
                self.left[place - 1] -= 1;
                common += 1;
            }
        }
        common
    }
}
