//! The cluster of a text by n-grams; the same numbers, in the same order, as `streams/core/clusters.py`.

use std::collections::HashMap;

use crate::space::words;

const LONGEST_KNOWN: usize = 30; // bytes; longer words are not cached
const WORDS_KNOWN: usize = 20_000;

pub struct Clusters {
    sizes: (usize, usize),
    columns: HashMap<Box<str>, u32>,
    weights: Vec<f64>, // [columns][1 + axes]: idf, then the weight on each axis times the idf
    means: Vec<f64>,
    cuts: Vec<Vec<f64>>,
    known: HashMap<Box<str>, (u32, u32)>, // of a word, its columns in `of_words`: most words recur
    of_words: Vec<u32>,
    counts: Vec<u32>, // by column, zero between calls
    there: Vec<u64>,  // a bit for each column with a count
}

impl Clusters {
    /// `components`: [axes][columns].
    pub fn new(
        sizes: (usize, usize),
        vocabulary: Vec<String>,
        idf: &[f64],
        components: &[Vec<f64>],
        means: Vec<f64>,
        cuts: Vec<Vec<f64>>,
    ) -> Self {
        let mut weights = Vec::with_capacity(idf.len() * (1 + components.len()));
        for (column, &weight) in idf.iter().enumerate() {
            weights.push(weight);
            weights.extend(components.iter().map(|axis| axis[column] * weight));
        }
        Clusters {
            sizes,
            columns: vocabulary.into_iter().enumerate().map(|(at, term)| (term.into(), at as u32)).collect(),
            weights,
            means,
            cuts,
            known: HashMap::new(),
            of_words: Vec::new(),
            counts: vec![0; idf.len()],
            there: vec![0; idf.len().div_ceil(64)],
        }
    }

    /// The coordinates on each axis of a text in lower case.
    pub fn coordinates(&mut self, text: &str) -> Vec<f64> {
        for word in words(text) {
            if let Some(&(start, end)) = self.known.get(word) {
                for at in start..end {
                    let column = self.of_words[at as usize];
                    self.counts[column as usize] += 1;
                    self.there[column as usize / 64] |= 1 << (column % 64);
                }
            } else {
                self.read(word);
            }
        }
        let width = 1 + self.means.len();
        let mut sums = vec![0.0; width];
        for (block, bits) in self.there.iter_mut().enumerate() {
            let mut left = std::mem::take(bits);
            while left != 0 {
                let column = block * 64 + left.trailing_zeros() as usize;
                left &= left - 1;
                let count = f64::from(std::mem::take(&mut self.counts[column]));
                let weights = &self.weights[column * width..(column + 1) * width];
                let weighted = weights[0] * count;
                sums[0] += weighted * weighted;
                for (sum, &weight) in sums[1..].iter_mut().zip(&weights[1..]) {
                    *sum += weight * count;
                }
            }
        }
        let norm = sums[0].sqrt();
        let placed = sums[1..].iter().zip(&self.means);
        placed.map(|(&sum, &mean)| (if norm > 0.0 { sum / norm } else { 0.0 }) - mean).collect()
    }

    /// The cluster of a text in lower case.
    pub fn cluster(&mut self, text: &str) -> u64 {
        if self.means.is_empty() {
            return 0;
        }
        let coordinates = self.coordinates(text);
        let mut node = 0;
        for (axis, &coordinate) in coordinates.iter().enumerate() {
            node |= usize::from(coordinate >= self.cuts[axis][node]) << axis;
        }
        node as u64
    }

    /// Count the n-grams of a word that is not cached.
    fn read(&mut self, word: &str) {
        let start = self.of_words.len();
        let padded = format!(" {word} ");
        let mut edges: Vec<usize> = padded.char_indices().map(|(at, _)| at).collect();
        edges.push(padded.len());
        let characters = edges.len() - 1;
        for n in self.sizes.0..=self.sizes.1 {
            if characters <= n {
                self.of_words.extend(self.columns.get(padded.as_str()));
                break;
            }
            for at in 0..=characters - n {
                self.of_words.extend(self.columns.get(&padded[edges[at]..edges[at + n]]));
            }
        }
        for &column in &self.of_words[start..] {
            self.counts[column as usize] += 1;
            self.there[column as usize / 64] |= 1 << (column % 64);
        }
        if word.len() > LONGEST_KNOWN {
            self.of_words.truncate(start);
        } else {
            let end = self.of_words.len() as u32;
            self.known.insert(word.into(), (start as u32, end));
            if self.known.len() >= WORDS_KNOWN {
                self.known.clear();
                self.of_words.clear();
            }
        }
    }
}
