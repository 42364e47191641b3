//! Necessary conditions for F above the threshold, from lengths alone; see `streams/core/similarity/bounds.py`.

use std::collections::HashMap;

/// Lengths from here on share one entry of a row, and one code in a signature.
pub const LONGEST: usize = 127;
pub const UNBOUNDED: u8 = 64;
const NO_LIMIT: i64 = (1 << 31) - 1;
const MOST_ROWS: usize = 8192;

/// F as rouge_score computes it, of texts of m and n tokens.
pub fn fmeasure(lcs: usize, m: usize, n: usize) -> f64 {
    if lcs == 0 {
        return 0.0;
    }
    let precision = lcs as f64 / n as f64;
    let recall = lcs as f64 / m as f64;
    2.0 * precision * recall / (precision + recall)
}

/// The smallest lcs with F above the threshold; greater than min(m, n) when there is none.
fn needed_lcs(threshold: f64, m: usize, n: usize) -> usize {
    let mut lcs = ((threshold * (m + n) as f64 / 2.0) as i64 - 1).max(1) as usize;
    while lcs <= m && lcs <= n && fmeasure(lcs, m, n) <= threshold {
        lcs += 1;
    }
    lcs
}

/// What a text of m tokens asks of its partners.
pub struct Row {
    pub shortest: usize,
    /// Of each of the rarest elements, the greatest length of a partner that has it and none of the rarer ones.
    pub reach: Vec<u8>,
    /// Signatures must differ in fewer bits than this, by the partner's length; 0: no such partner.
    pub below: [u8; LONGEST + 1],
}

pub struct Bounds {
    pub threshold: f64,
    rows: HashMap<usize, Row>,
    shortest: HashMap<usize, usize>,
}

impl Bounds {
    pub fn new(threshold: f64) -> Self {
        Bounds { threshold, rows: HashMap::new(), shortest: HashMap::new() }
    }

    /// The number of rarest elements under which a text of m tokens is listed.
    pub fn prefix(&mut self, m: usize) -> usize {
        if m == 0 {
            0
        } else {
            m - self.shortest(m) + 1
        }
    }

    fn shortest(&mut self, m: usize) -> usize {
        let threshold = self.threshold;
        if self.shortest.len() >= MOST_ROWS {
            self.shortest.clear();
        }
        *self.shortest.entry(m).or_insert_with(|| {
            let mut known = ((threshold * m as f64 / (2.0 - threshold)) as i64 - 1).max(1) as usize;
            while known < m && fmeasure(known, m, known) <= threshold {
                known += 1;
            }
            known
        })
    }

    /// The greatest length of a partner that shares `lcs` of m tokens.
    fn longest(&self, m: usize, lcs: usize) -> i64 {
        if lcs as f64 * 2.0 >= NO_LIMIT as f64 * self.threshold {
            return NO_LIMIT;
        }
        let least = lcs as i64;
        let mut known = least.max((2.0 * lcs as f64 / self.threshold - m as f64) as i64 + 2);
        while known > least && fmeasure(lcs, m, known as usize) <= self.threshold {
            known -= 1;
        }
        known
    }

    pub fn row(&mut self, m: usize) -> &Row {
        if !self.rows.contains_key(&m) {
            if self.rows.len() >= MOST_ROWS {
                self.rows.clear();
            }
            let shortest = self.shortest(m);
            let reach = (0..self.prefix(m)).map(|place| self.longest(m, m - place).min(LONGEST as i64) as u8).collect();
            let mut below = [0; LONGEST + 1];
            for (n, limit) in below.iter_mut().enumerate().take(LONGEST).skip(1) {
                let needed = needed_lcs(self.threshold, m, n);
                if needed <= m.min(n) {
                    *limit = (m + n - 2 * needed + 1).min(UNBOUNDED as usize) as u8;
                }
            }
            if self.longest(m, m) >= LONGEST as i64 {
                below[LONGEST] = UNBOUNDED;
            }
            self.rows.insert(m, Row { shortest, reach, below });
        }
        &self.rows[&m]
    }
}
