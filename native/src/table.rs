//! A hash table of numbers whose keys are held elsewhere: eight bytes a cell, and no pause to hash keys again.

const EMPTY: u32 = u32::MAX;
const GONE: u32 = u32::MAX - 1;

/// Cells of (upper half of the key's hash, number), open addressing with linear probing.
pub struct Table {
    cells: Vec<(u32, u32)>,
    taken: usize,
}

impl Default for Table {
    fn default() -> Self {
        Table { cells: vec![(0, EMPTY); 16], taken: 0 }
    }
}

impl Table {
    fn home(tag: u32, size: usize) -> usize {
        ((u64::from(tag) * size as u64) >> 32) as usize
    }

    /// The number whose key has this hash and is the `same`.
    pub fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let (tag, size) = ((hash >> 32) as u32, self.cells.len());
        let mut at = Self::home(tag, size);
        loop {
            let (theirs, number) = self.cells[at];
            if number == EMPTY {
                return None;
            }
            if theirs == tag && number != GONE && same(number) {
                return Some(number);
            }
            at = if at + 1 == size { 0 } else { at + 1 };
        }
    }

    /// Enter a number under a key that is not there yet.
    pub fn insert(&mut self, hash: u64, number: u32) {
        if (self.taken + 1) * 4 > self.cells.len() * 3 {
            self.grow();
        }
        self.put((hash >> 32) as u32, number);
        self.taken += 1;
    }

    pub fn remove(&mut self, hash: u64, number: u32) {
        let (tag, size) = ((hash >> 32) as u32, self.cells.len());
        let mut at = Self::home(tag, size);
        while self.cells[at].1 != EMPTY {
            if self.cells[at].1 == number {
                self.cells[at].1 = GONE;
                return;
            }
            at = if at + 1 == size { 0 } else { at + 1 };
        }
    }

    fn put(&mut self, tag: u32, number: u32) {
        let size = self.cells.len();
        let mut at = Self::home(tag, size);
        while self.cells[at].1 != EMPTY {
            at = if at + 1 == size { 0 } else { at + 1 };
        }
        self.cells[at] = (tag, number);
    }

    fn grow(&mut self) {
        let live = self.cells.iter().filter(|cell| cell.1 < GONE).count();
        let old = std::mem::replace(&mut self.cells, vec![(0, EMPTY); (live * 8 / 3).max(16)]);
        self.taken = live;
        for (tag, number) in old {
            if number < GONE {
                self.put(tag, number);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.cells.capacity() * 8
    }
}
