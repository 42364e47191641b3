//! The default tokenizer: runs of ASCII letters and digits.

/// Texts as byte runs in one buffer, reused from call to call.
#[derive(Default)]
pub struct Tokens {
    bytes: Vec<u8>,
    runs: Vec<(u32, u32)>,
}

impl Tokens {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.runs.clear();
    }

    pub fn push(&mut self, token: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(token);
        self.runs.push((start, self.bytes.len() as u32));
    }

    /// The tokens of a text, which is ASCII or lower-cased by Python.
    pub fn split(&mut self, text: &[u8]) {
        self.clear();
        self.bytes.extend(text.iter().map(u8::to_ascii_lowercase));
        let mut start = None;
        for (place, byte) in self.bytes.iter().enumerate() {
            match (byte.is_ascii_alphanumeric(), start) {
                (true, None) => start = Some(place),
                (false, Some(from)) => {
                    self.runs.push((from as u32, place as u32));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(from) = start {
            self.runs.push((from as u32, self.bytes.len() as u32));
        }
    }

    pub fn get(&self, place: usize) -> &[u8] {
        let (start, end) = self.runs[place];
        &self.bytes[start as usize..end as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.runs.iter().map(|&(start, end)| &self.bytes[start as usize..end as usize])
    }
}
