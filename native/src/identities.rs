//! The ids of texts by slot. A UUID, with or without the prefix of a seed, takes sixteen bytes.

use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::BuildHasher;

use crate::table::Table;

#[derive(Default)]
pub struct Identities {
    hasher: RandomState,
    table: Table,
    packed: Vec<[u8; 16]>,
    others: HashMap<u32, Box<str>>, // those that are no UUID in its usual form
    held: usize,
}

impl Identities {
    /// The slot of an id that is there.
    pub fn slot(&self, id: &str) -> Option<u32> {
        match pack(id) {
            Some(packed) => self.table.find(self.hasher.hash_one(packed), |slot| {
                self.packed[slot as usize] == packed && !self.others.contains_key(&slot)
            }),
            None => self
                .table
                .find(self.hasher.hash_one(id), |slot| self.others.get(&slot).is_some_and(|theirs| **theirs == *id)),
        }
    }

    /// Enter an id in the next slot.
    pub fn push(&mut self, id: &str) {
        let slot = self.packed.len() as u32;
        let hash = match pack(id) {
            Some(packed) => {
                self.packed.push(packed);
                self.hasher.hash_one(packed)
            }
            None => {
                self.packed.push([0; 16]);
                self.others.insert(slot, id.into());
                self.hasher.hash_one(id)
            }
        };
        self.table.insert(hash, slot);
        self.held += 1;
    }

    pub fn remove(&mut self, id: &str, slot: u32) {
        let hash = match pack(id) {
            Some(packed) => self.hasher.hash_one(packed),
            None => self.hasher.hash_one(id),
        };
        self.table.remove(hash, slot);
        self.held -= 1;
    }

    pub fn id(&self, slot: u32) -> String {
        match self.others.get(&slot) {
            Some(other) => other.to_string(),
            None => unpack(&self.packed[slot as usize]),
        }
    }

    /// How many are there, without the removed ones.
    pub fn len(&self) -> usize {
        self.held
    }

    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.packed.capacity() * 16 + self.others.values().map(|id| id.len() + 48).sum::<usize>()
    }
}

/// The bytes of a UUID in its usual form.
pub fn pack(id: &str) -> Option<[u8; 16]> {
    let text = id.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let mut packed = [0; 16];
    let mut digits = 0;
    for (place, &byte) in text.iter().enumerate() {
        if matches!(place, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        packed[digits / 2] |= digit << if digits % 2 == 0 { 4 } else { 0 };
        digits += 1;
    }
    Some(packed)
}

pub fn unpack(packed: &[u8; 16]) -> String {
    let mut id = String::with_capacity(36);
    for (place, &byte) in packed.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            id.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            id.push(char::from(b"0123456789abcdef"[digit as usize]));
        }
    }
    id
}
