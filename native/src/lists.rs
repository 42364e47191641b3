//! Inverted lists: the texts listed under each element, each with its signature beside it, so that a scan reads memory
//! in order. A long list is split by the length of its texts; see `streams/core/similarity/lists.py`.

use crate::bounds::{Row, LONGEST};
use crate::scan;
use crate::vocabulary::{BITS, SIGNATURE};

const SPLIT_FROM: usize = 256;

#[derive(Clone, Copy)]
#[repr(C, packed(4))]
struct Entry {
    signature: u64,
    slot: u32,
}

struct Part {
    length: u8,
    signatures: Vec<u64>,
    slots: Vec<u32>,
}

enum List {
    Whole(Vec<Entry>),
    #[allow(clippy::box_collection)] // so that a list takes three words
    Split(Box<Vec<Part>>), // sorted by length
}

#[derive(Default)]
pub struct Lists {
    by_element: Vec<List>,
}

fn code(signature: u64) -> u8 {
    (signature >> BITS) as u8
}

/// Room for one more, without doubling: most lists stay short.
fn room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 4);
    }
}

fn add_to(parts: &mut Vec<Part>, signature: u64, slot: u32) {
    let length = code(signature);
    let at = match parts.binary_search_by_key(&length, |part| part.length) {
        Ok(at) => at,
        Err(at) => {
            parts.insert(at, Part { length, signatures: Vec::new(), slots: Vec::new() });
            at
        }
    };
    let part = &mut parts[at];
    room(&mut part.signatures);
    part.signatures.push(signature);
    room(&mut part.slots);
    part.slots.push(slot);
}

impl Lists {
    pub fn add(&mut self, element: u32, signature: u64, slot: u32) {
        let place = element as usize;
        if place >= self.by_element.len() {
            self.by_element.resize_with(place + 1, || List::Whole(Vec::new()));
        }
        let list = &mut self.by_element[place];
        match list {
            List::Whole(entries) => {
                room(entries);
                entries.push(Entry { signature, slot });
                if entries.len() > SPLIT_FROM {
                    let mut parts = Vec::new();
                    for entry in entries.iter() {
                        add_to(&mut parts, entry.signature, entry.slot);
                    }
                    *list = List::Split(Box::new(parts));
                }
            }
            List::Split(parts) => add_to(parts, signature, slot),
        }
    }

    /// Removes all slots of an element and returns them.
    pub fn take(&mut self, element: u32) -> Vec<u32> {
        let Some(list) = self.by_element.get_mut(element as usize) else { return Vec::new() };
        match std::mem::replace(list, List::Whole(Vec::new())) {
            List::Whole(entries) => entries.iter().map(|entry| entry.slot).collect(),
            List::Split(parts) => parts.into_iter().flat_map(|part| part.slots).collect(),
        }
    }

    /// Takes a slot out of an element's list.
    pub fn remove(&mut self, element: u32, signature: u64, slot: u32) {
        match &mut self.by_element[element as usize] {
            List::Whole(entries) => {
                if let Some(at) = entries.iter().position(|entry| entry.slot == slot) {
                    entries.swap_remove(at);
                }
            }
            List::Split(parts) => {
                if let Ok(at) = parts.binary_search_by_key(&code(signature), |part| part.length) {
                    let part = &mut parts[at];
                    if let Some(place) = part.slots.iter().position(|&listed| listed == slot) {
                        part.slots.swap_remove(place);
                        part.signatures.swap_remove(place);
                    }
                }
            }
        }
    }

    /// The tokens of the texts under an element, at most LONGEST of each.
    pub fn tokens(&self, element: u32) -> usize {
        match self.by_element.get(element as usize) {
            None => 0,
            Some(List::Whole(entries)) => entries.iter().map(|entry| code(entry.signature) as usize).sum(),
            Some(List::Split(parts)) => parts.iter().map(|part| part.length as usize * part.slots.len()).sum(),
        }
    }

    /// How many slots are to be checked for a text with these rarest elements.
    pub fn named(&self, rarest: &[u32], reach: &[u8], row: &Row) -> usize {
        rarest
            .iter()
            .zip(reach)
            .map(|(&element, &reach)| match self.by_element.get(element as usize) {
                None => 0,
                Some(List::Whole(entries)) => entries.len(),
                Some(List::Split(parts)) => fitting(parts, row, reach).iter().map(|part| part.slots.len()).sum(),
            })
            .sum()
    }

    /// The slots under these elements whose length and signature fit; one may come more than once.
    pub fn read(&self, rarest: &[u32], reach: &[u8], row: &Row, query: u64, limits: &[u32], found: &mut Vec<u32>) {
        for (&element, &reach) in rarest.iter().zip(reach) {
            match self.by_element.get(element as usize) {
                None => {}
                Some(List::Whole(entries)) => {
                    for entry in entries {
                        let theirs = entry.signature;
                        if ((theirs ^ query) & SIGNATURE).count_ones() < limits[code(theirs) as usize] {
                            found.push(entry.slot);
                        }
                    }
                }
                Some(List::Split(parts)) => {
                    for part in fitting(parts, row, reach) {
                        let limit = limits[part.length as usize];
                        if limit > 0 {
                            scan::near(&part.signatures, &part.slots, query, limit, found);
                        }
                    }
                }
            }
        }
    }

    pub fn held(&self) -> usize {
        let lists = self.by_element.iter().map(|list| match list {
            List::Whole(entries) => entries.capacity() * 12,
            List::Split(parts) => {
                24 + parts.capacity() * std::mem::size_of::<Part>()
                    + parts.iter().map(|part| part.signatures.capacity() * 8 + part.slots.capacity() * 4).sum::<usize>()
            }
        });
        lists.sum::<usize>() + self.by_element.capacity() * std::mem::size_of::<List>()
    }
}

fn fitting<'a>(parts: &'a [Part], row: &Row, reach: u8) -> &'a [Part] {
    let shortest = row.shortest.min(LONGEST) as u8;
    let from = parts.partition_point(|part| part.length < shortest);
    let to = parts.partition_point(|part| part.length <= reach);
    &parts[from.min(to)..to]
}
