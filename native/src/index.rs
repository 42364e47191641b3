//! The similarity index; the same answers as `streams/core/similarity/reference.py`, which says how it works.

use crate::bounds::{fmeasure, Bounds, LONGEST, UNBOUNDED};
use crate::identities::Identities;
use crate::lcs::{Query, LANES};
use crate::lists::Lists;
use crate::scan;
use crate::tokens::Tokens;
use crate::vocabulary::{Vocabulary, BITS};

const SCAN_SHARE: f64 = 0.5; // above this share of named slots, all signatures are scanned
const LARGEST_MOVE: usize = 80_000; // tokens of a list's texts, above which moving it would block the caller
const FEW_NAMED: usize = 32;

pub type Position = (i64, i64);

pub struct Index {
    bounds: Bounds,
    pub vocabulary: Vocabulary,
    pub ids: Identities,
    // By slot, in the order added:
    codes: Vec<u32>, // of all texts, one after the other
    pub starts: Vec<u64>,
    pub lengths: Vec<u32>,
    signatures: Vec<u64>,
    pub offsets: Vec<i64>,
    pub places: Vec<i32>,
    lists: Lists,
    listed: usize, // slots below are in the lists
    pub last: Position,
    work: Work,
}

/// Buffers, reused from call to call.
#[derive(Default)]
struct Work {
    query: Query,
    codes: Vec<u32>,
    elements: Vec<u32>,
    found: Vec<u32>,
    limits: Vec<u32>,
}

/// The best so far for a text of m tokens: at first the threshold, which is to be exceeded.
struct Best {
    score: f64,
    slot: Option<u32>,
    m: usize,
}

impl Best {
    /// What a text of n tokens must have in common at least, rounded down, so not above what equals the best.
    fn needed(&self, n: usize) -> usize {
        (self.score * (self.m + n) as f64 / 2.0) as usize
    }

    /// Slots come in order: of equals the first stays.
    fn take(&mut self, slot: u32, common: usize, n: usize) {
        let score = fmeasure(common, self.m, n);
        if score > self.score {
            (self.score, self.slot) = (score, Some(slot));
        }
    }
}

impl Index {
    pub fn new(threshold: f64) -> Self {
        Index {
            bounds: Bounds::new(threshold),
            vocabulary: Vocabulary::default(),
            ids: Identities::default(),
            codes: Vec::new(),
            starts: Vec::new(),
            lengths: Vec::new(),
            signatures: Vec::new(),
            offsets: Vec::new(),
            places: Vec::new(),
            lists: Lists::default(),
            listed: 0,
            last: (-1, -1),
            work: Work::default(),
        }
    }

    pub fn threshold(&self) -> f64 {
        self.bounds.threshold
    }

    /// Store a text, and list it unless others wait to be listed. Its id must not be there yet.
    pub fn add(&mut self, id: &str, tokens: &Tokens, position: (i64, i32)) {
        let mut codes = std::mem::take(&mut self.work.codes);
        self.vocabulary.codes(tokens, &mut codes);
        self.enter(id, tokens, &mut codes, position);
        self.work.codes = codes;
    }

    fn enter(&mut self, id: &str, tokens: &Tokens, codes: &mut [u32], position: (i64, i32)) {
        self.vocabulary.learn(tokens, codes);
        let mut elements = std::mem::take(&mut self.work.elements);
        self.store(id, codes, position, &mut elements);
        elements.retain(|&element| self.vocabulary.count(element));
        if !elements.is_empty() {
            self.reclass(elements.clone());
        }
        self.work.elements = elements;
    }

    /// Without counting or listing; leaves the text's elements in `elements`.
    pub fn store(&mut self, id: &str, codes: &[u32], position: (i64, i32), elements: &mut Vec<u32>) {
        self.vocabulary.known_elements(codes, elements);
        self.ids.push(id);
        self.starts.push(self.codes.len() as u64);
        self.lengths.push(codes.len() as u32);
        self.codes.extend_from_slice(codes);
        self.signatures.push(Vocabulary::signature(elements) | (codes.len().min(LONGEST) as u64) << BITS);
        self.offsets.push(position.0);
        self.places.push(position.1);
        self.last = self.last.max((position.0, i64::from(position.1)));
    }

    /// List up to `count` of the stored texts that are not listed yet; how many are left.
    pub fn list(&mut self, count: usize) -> usize {
        let mut elements = std::mem::take(&mut self.work.elements);
        for _ in 0..count.min(self.starts.len() - self.listed) {
            let slot = self.listed as u32;
            self.rarest(slot, &mut elements);
            for &element in &elements {
                self.lists.add(element, self.signatures[slot as usize], slot);
            }
            self.listed += 1;
        }
        self.work.elements = elements;
        self.starts.len() - self.listed
    }

    /// Take a text out; false when there is none of that id.
    pub fn remove(&mut self, id: &str) -> bool {
        let Some(slot) = self.ids.slot(id) else { return false };
        if (slot as usize) < self.listed {
            let mut elements = std::mem::take(&mut self.work.elements);
            self.rarest(slot, &mut elements);
            for &element in &elements {
                self.lists.remove(element, self.signatures[slot as usize], slot);
            }
            self.work.elements = elements;
        }
        self.ids.remove(id, slot);
        self.lengths[slot as usize] = 0;
        self.signatures[slot as usize] = 0;
        true
    }

    /// F and slot of the text with the highest F above the threshold, the earliest added on ties.
    pub fn nearest_above(&mut self, tokens: &Tokens, before: Option<Position>) -> Option<(f64, u32)> {
        let mut codes = std::mem::take(&mut self.work.codes);
        self.vocabulary.codes(tokens, &mut codes);
        let best = self.nearest(&codes, before);
        self.work.codes = codes;
        best
    }

    /// `nearest_above`, then `add` if there is none; for a text at a later place than all that are there.
    pub fn add_unless_similar(&mut self, id: &str, tokens: &Tokens, position: (i64, i32)) -> Option<(f64, u32)> {
        let mut codes = std::mem::take(&mut self.work.codes);
        self.vocabulary.codes(tokens, &mut codes);
        let best = self.nearest(&codes, None);
        if best.is_none() {
            self.enter(id, tokens, &mut codes, position);
            self.list(usize::MAX);
        }
        self.work.codes = codes;
        best
    }

    fn nearest(&mut self, codes: &[u32], before: Option<Position>) -> Option<(f64, u32)> {
        let mut work = std::mem::take(&mut self.work);
        self.candidates(codes, &mut work);
        let best = if work.found.is_empty() { None } else { self.best(codes, before, &mut work) };
        self.work = work;
        best
    }

    /// Fills `work.found` with the slots, sorted, that may be above the threshold.
    fn candidates(&mut self, codes: &[u32], work: &mut Work) {
        work.found.clear();
        self.vocabulary.known_elements(codes, &mut work.elements);
        let unknown = codes.len() - work.elements.len();
        let row = self.bounds.row(codes.len());
        if work.elements.is_empty() || unknown >= row.reach.len() {
            return;
        }
        let reach = &row.reach[unknown..];
        let query = Vocabulary::signature(&work.elements);
        self.vocabulary.rarest(&mut work.elements, reach.len());
        work.limits.clear();
        work.limits.extend(row.below.iter().map(|&limit| match limit {
            UNBOUNDED => u32::from(UNBOUNDED),
            limit => u32::from(limit).saturating_sub(unknown as u32),
        }));
        let named = self.lists.named(&work.elements, reach, row);
        if named > FEW_NAMED && named as f64 > SCAN_SHARE * self.starts.len() as f64 {
            scan::near_of_all(&self.signatures, query, &work.limits, &mut work.found);
        } else {
            self.lists.read(&work.elements, reach, row, query, &work.limits, &mut work.found);
            work.found.sort_unstable();
            work.found.dedup();
        }
    }

    fn best(&self, codes: &[u32], before: Option<Position>, work: &mut Work) -> Option<(f64, u32)> {
        let before = before.filter(|&before| before <= self.last);
        let m = codes.len();
        let Work { query, found, .. } = work;
        query.prepare(codes, self.vocabulary.elements.len());
        let mut best = Best { score: self.bounds.threshold, slot: None, m };
        let lanes = query.lanes();
        let mut waiting = [0; LANES];
        let mut count = 0;
        for &slot in found.iter() {
            let at = slot as usize;
            if before.is_some_and(|before| (self.offsets[at], i64::from(self.places[at])) >= before) {
                continue;
            }
            let n = self.lengths[at] as usize;
            let needed = best.needed(n);
            if needed > m.min(n) {
                continue;
            }
            if lanes == 1 {
                best.take(slot, query.lcs(self.text(slot), needed), n);
                continue;
            }
            waiting[count] = slot;
            count += 1;
            if count == LANES {
                count = 0;
                let texts = waiting.map(|slot| self.text(slot));
                let common = query.lcs_of_lanes(&texts, &texts.map(|text| best.needed(text.len())));
                for (&slot, common) in waiting.iter().zip(common) {
                    best.take(slot, common, self.lengths[slot as usize] as usize);
                }
            }
        }
        for &slot in &waiting[..count] {
            let text = self.text(slot);
            best.take(slot, query.lcs(text, best.needed(text.len())), text.len());
        }
        best.slot.map(|slot| (best.score, slot))
    }

    pub fn text(&self, slot: u32) -> &[u32] {
        let start = self.starts[slot as usize] as usize;
        &self.codes[start..start + self.lengths[slot as usize] as usize]
    }

    /// The elements under which the text in the slot is listed.
    fn rarest(&mut self, slot: u32, elements: &mut Vec<u32>) {
        let start = self.starts[slot as usize] as usize;
        let length = self.lengths[slot as usize] as usize;
        self.vocabulary.known_elements(&self.codes[start..start + length], elements);
        let count = self.bounds.prefix(length);
        self.vocabulary.rarest(elements, count);
    }

    /// Move elements that became more frequent, and with them the lists of their texts: in a text's rarest elements
    /// the next rarest replace those that leave. All at once, since a long text may be under thousands of them.
    fn reclass(&mut self, mut elements: Vec<u32>) {
        elements.retain(|&element| self.lists.tokens(element) <= LARGEST_MOVE);
        elements.sort_unstable();
        let mut slots = Vec::new();
        for &element in &elements {
            self.vocabulary.reclass(element);
            slots.extend(self.lists.take(element));
        }
        slots.sort_unstable();
        let mut rarest = Vec::new();
        for taken in slots.chunk_by(|one, other| one == other) {
            let slot = taken[0];
            self.rarest(slot, &mut rarest);
            // Under the others it is still listed, but for the last of them, as many as are missing.
            let (moved, others): (Vec<u32>, Vec<u32>) =
                rarest.iter().partition(|element| elements.binary_search(element).is_ok());
            let next = &others[others.len() + moved.len() - taken.len()..];
            for &element in moved.iter().chain(next) {
                self.lists.add(element, self.signatures[slot as usize], slot);
            }
        }
    }

    /// Bytes that the index holds.
    pub fn held(&self) -> usize {
        self.vocabulary.held()
            + self.ids.bytes()
            + self.lists.held()
            + self.codes.capacity() * 4
            + self.starts.capacity() * 8
            + self.lengths.capacity() * 4
            + self.signatures.capacity() * 8
            + self.offsets.capacity() * 8
            + self.places.capacity() * 4
    }
}
