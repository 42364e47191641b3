//! The index as bytes, to be pickled. Lists and signatures are made again when it is read.

use crate::index::Index;
use crate::vocabulary::Vocabulary;

const VERSION: u8 = 1;

/// Reads numbers from the front of bytes; None where they end too early.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        if count > self.0.len() {
            return None;
        }
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(taken)
    }

    pub fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.bytes(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }

    pub fn i64(&mut self) -> Option<i64> {
        self.bytes(8).map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap_or_default()))
    }
}

impl Vocabulary {
    fn read(reader: &mut Reader<'_>, count: u32) -> Option<Self> {
        let mut vocabulary = Vocabulary::default();
        for number in 1..=count {
            if reader.u8()? == 0 {
                let length = reader.u32()? as usize;
                vocabulary.restore_token(reader.bytes(length)?);
            } else {
                let (code, occurrence) = (reader.u32()?, reader.u32()?);
                vocabulary.restore_repeat(code, occurrence);
            }
            let frequency = reader.u32()?;
            let (class, due) = (reader.u8()?, reader.u8()?);
            let element = &mut vocabulary.elements[number as usize];
            (element.frequency, element.class, element.due) = (frequency, class, due);
        }
        Some(vocabulary)
    }
}

impl Index {
    pub fn dump(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.threshold().to_le_bytes());
        out.extend((self.vocabulary.elements.len() as u32 - 1).to_le_bytes());
        self.vocabulary.dump(&mut out);
        out.extend((self.starts.len() as u32).to_le_bytes());
        for slot in 0..self.starts.len() as u32 {
            let id = self.ids.id(slot);
            let there = self.ids.slot(&id) == Some(slot);
            out.push(u8::from(there));
            if there {
                out.extend((id.len() as u32).to_le_bytes());
                out.extend(id.as_bytes());
                out.extend(self.offsets[slot as usize].to_le_bytes());
                out.extend(self.places[slot as usize].to_le_bytes());
                out.extend(self.lengths[slot as usize].to_le_bytes());
                out.extend(self.text(slot).iter().flat_map(|code| code.to_le_bytes()));
            }
        }
        out.extend(self.last.0.to_le_bytes());
        out.extend(self.last.1.to_le_bytes());
        out
    }

    /// The index that was dumped; None when these bytes are none.
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.u8()? != VERSION {
            return None;
        }
        let mut index = Index::new(f64::from_le_bytes(reader.bytes(8)?.try_into().ok()?));
        let elements = reader.u32()?;
        index.vocabulary = Vocabulary::read(&mut reader, elements)?;
        let (mut codes, mut found) = (Vec::new(), Vec::new());
        for slot in 0..reader.u32()? {
            codes.clear();
            if reader.u8()? == 0 {
                index.store("", &codes, (i64::MIN, 0), &mut found);
                index.ids.remove("", slot);
                continue;
            }
            let length = reader.u32()? as usize;
            let id = std::str::from_utf8(reader.bytes(length)?).ok()?;
            let position = (reader.i64()?, reader.u32()? as i32);
            for _ in 0..reader.u32()? {
                codes.push(reader.u32()?);
            }
            if codes.iter().any(|&code| code > elements) {
                return None;
            }
            index.store(id, &codes, position, &mut found);
        }
        index.last = (reader.i64()?, reader.i64()?);
        index.list(usize::MAX);
        Some(index)
    }
}
