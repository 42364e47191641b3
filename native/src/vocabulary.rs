//! Numbers for tokens, and a rarity order of the elements of texts; see `streams/core/similarity/vocabulary.py`.

use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::table::Table;
use crate::tokens::Tokens;

/// Bits of a signature; the upper eight hold the length.
pub const BITS: u32 = 56;
pub const SIGNATURE: u64 = (1 << BITS) - 1;
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const CLASS_SHIFT: u32 = 2; // each class of frequency is four times as wide as the one before

/// Where an element comes from: the bytes of a token, or a further occurrence of one.
#[derive(Clone, Copy)]
pub enum Origin {
    Token { start: u64, length: u32 },
    Repeat { code: u32, occurrence: u32 },
}

#[derive(Clone, Copy)]
pub struct Element {
    pub origin: Origin,
    pub frequency: u32,
    pub class: u8,
    /// The class after the one of its frequency, which `count` waits for.
    pub due: u8,
}

/// Elements by number. Number 0 is every unknown token.
pub struct Vocabulary {
    hasher: RandomState,
    bytes: Vec<u8>,
    table: Table,
    repeats: HashMap<(u32, u32), u32>,
    pub elements: Vec<Element>,
    times: Vec<u32>, // by element, zero between calls
}

impl Default for Vocabulary {
    fn default() -> Self {
        let nothing = Element { origin: Origin::Repeat { code: 0, occurrence: 0 }, frequency: 0, class: 0, due: 1 };
        Vocabulary {
            hasher: RandomState::new(),
            bytes: Vec::new(),
            table: Table::default(),
            repeats: HashMap::new(),
            elements: vec![nothing],
            times: vec![0],
        }
    }
}

impl Vocabulary {
    fn token(&self, element: u32) -> &[u8] {
        match self.elements[element as usize].origin {
            Origin::Token { start, length } => &self.bytes[start as usize..start as usize + length as usize],
            Origin::Repeat { .. } => &[],
        }
    }

    fn code(&self, token: &[u8]) -> (u64, Option<u32>) {
        let hash = self.hasher.hash_one(token);
        (hash, self.table.find(hash, |element| self.token(element) == token))
    }

    /// Each token's element, without its occurrence; 0 for an unknown token.
    pub fn codes(&self, tokens: &Tokens, codes: &mut Vec<u32>) {
        codes.clear();
        codes.extend(tokens.iter().map(|token| self.code(token).1.unwrap_or(0)));
    }

    /// Gives the unknown tokens among `codes`, and repeats that are new, a number.
    pub fn learn(&mut self, tokens: &Tokens, codes: &mut [u32]) {
        for (place, code) in codes.iter_mut().enumerate() {
            if *code == 0 {
                let token = tokens.get(place);
                *code = match self.code(token) {
                    (_, Some(known)) => known, // learnt at an earlier place
                    (hash, None) => self.new_token(token, hash),
                };
            }
        }
        for &code in codes.iter() {
            let occurrence = self.times[code as usize];
            self.times[code as usize] += 1;
            if occurrence > 0 && !self.repeats.contains_key(&(code, occurrence)) {
                let element = self.new_element(Origin::Repeat { code, occurrence });
                self.repeats.insert((code, occurrence), element);
            }
        }
        for &code in codes.iter() {
            self.times[code as usize] = 0;
        }
    }

    pub fn new_token(&mut self, token: &[u8], hash: u64) -> u32 {
        let start = self.bytes.len() as u64;
        self.bytes.extend_from_slice(token);
        let element = self.new_element(Origin::Token { start, length: token.len() as u32 });
        self.table.insert(hash, element);
        element
    }

    fn new_element(&mut self, origin: Origin) -> u32 {
        self.elements.push(Element { origin, frequency: 0, class: 0, due: 1 });
        self.times.push(0);
        (self.elements.len() - 1) as u32
    }

    /// The elements of a text that occur in a learnt text, in no particular order.
    pub fn known_elements(&mut self, codes: &[u32], found: &mut Vec<u32>) {
        found.clear();
        for &code in codes {
            if code != 0 {
                let occurrence = self.times[code as usize];
                self.times[code as usize] += 1;
                if occurrence == 0 {
                    found.push(code);
                } else if let Some(&element) = self.repeats.get(&(code, occurrence)) {
                    found.push(element);
                }
            }
        }
        for &code in codes {
            self.times[code as usize] = 0;
        }
    }

    /// A smaller key is a rarer element: by class of frequency, within a class the later one.
    pub fn key(&self, element: u32) -> u64 {
        u64::from(self.elements[element as usize].class) << 32 | u64::from(u32::MAX - element)
    }

    /// The first `count` of the elements in the order of rarity.
    pub fn rarest(&self, elements: &mut Vec<u32>, count: usize) {
        if count < elements.len() {
            if elements.len() > 64 {
                elements.select_nth_unstable_by_key(count, |&element| self.key(element));
                elements.truncate(count);
            }
            elements.sort_unstable_by_key(|&element| self.key(element));
            elements.truncate(count);
        } else {
            elements.sort_unstable_by_key(|&element| self.key(element));
        }
    }

    /// Counts a text's element; whether it has reached the next class.
    pub fn count(&mut self, element: u32) -> bool {
        let counted = &mut self.elements[element as usize];
        counted.frequency = counted.frequency.saturating_add(1);
        if u64::from(counted.frequency) < 1u64 << (CLASS_SHIFT * u32::from(counted.due)) {
            return false;
        }
        counted.due += 1;
        true
    }

    /// Moves the element to the class of its frequency.
    pub fn reclass(&mut self, element: u32) {
        let moved = &mut self.elements[element as usize];
        moved.class = moved.due - 1;
    }

    /// A bit set of the elements: two texts differ in at least as many elements as their signatures in bits.
    pub fn signature(elements: &[u32]) -> u64 {
        elements.iter().fold(0, |bits, &element| {
            let spread = u64::from(element).wrapping_mul(GOLDEN);
            bits | 1 << ((u128::from(spread) * u128::from(BITS)) >> 64)
        })
    }

    /// As it is pickled: for each element its origin and its counts.
    pub fn dump(&self, out: &mut Vec<u8>) {
        for (number, each) in self.elements.iter().enumerate().skip(1) {
            match each.origin {
                Origin::Token { length, .. } => {
                    out.push(0);
                    out.extend(length.to_le_bytes());
                    out.extend(self.token(number as u32));
                }
                Origin::Repeat { code, occurrence } => {
                    out.push(1);
                    out.extend(code.to_le_bytes());
                    out.extend(occurrence.to_le_bytes());
                }
            }
            out.extend(each.frequency.to_le_bytes());
            out.extend([each.class, each.due]);
        }
    }

    pub fn restore_token(&mut self, token: &[u8]) {
        let hash = self.hasher.hash_one(token);
        self.new_token(token, hash);
    }

    pub fn restore_repeat(&mut self, code: u32, occurrence: u32) {
        let element = self.new_element(Origin::Repeat { code, occurrence });
        self.repeats.insert((code, occurrence), element);
    }

    pub fn held(&self) -> usize {
        self.bytes.capacity()
            + self.table.bytes()
            + self.repeats.capacity() * 16
            + self.elements.capacity() * std::mem::size_of::<Element>()
            + self.times.capacity() * 4
    }
}
