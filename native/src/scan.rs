//! Finds the signatures near a given one. The same loop is compiled for several processors; which one runs is chosen
//! when the program runs, and all give the same answer.

use crate::vocabulary::SIGNATURE;

const BLOCK: usize = 16;

/// Appends the `slots` of those `signatures` that differ from `query` in fewer than `limit` bits, lengths aside.
pub fn near(signatures: &[u64], slots: &[u32], query: u64, limit: u32, found: &mut Vec<u32>) {
    chosen(signatures, query, limit, &mut |at| found.push(slots[at]));
}

/// As `near`, of signatures of any lengths; `limits` by length, `slots` are the places themselves.
pub fn near_of_all(signatures: &[u64], query: u64, limits: &[u32], found: &mut Vec<u32>) {
    let largest = limits.iter().copied().max().unwrap_or(0);
    chosen(signatures, query, largest, &mut |at| {
        let theirs = signatures[at];
        if ((theirs ^ query) & SIGNATURE).count_ones() < limits[(theirs >> crate::vocabulary::BITS) as usize] {
            found.push(at as u32);
        }
    });
}

#[inline(always)]
fn scan(signatures: &[u64], query: u64, limit: u32, found: &mut dyn FnMut(usize)) {
    let near = |signature: u64| ((signature ^ query) & SIGNATURE).count_ones() < limit;
    let blocks = signatures.chunks_exact(BLOCK);
    let rest = signatures.len() - blocks.remainder().len();
    for (number, block) in blocks.enumerate() {
        let mut any = false;
        for &signature in block {
            any |= near(signature);
        }
        if any {
            for (place, &signature) in block.iter().enumerate() {
                if near(signature) {
                    found(number * BLOCK + place);
                }
            }
        }
    }
    for (place, &signature) in signatures[rest..].iter().enumerate() {
        if near(signature) {
            found(rest + place);
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,popcnt")]
unsafe fn scan_avx2(signatures: &[u64], query: u64, limit: u32, found: &mut dyn FnMut(usize)) {
    scan(signatures, query, limit, found);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
unsafe fn scan_popcnt(signatures: &[u64], query: u64, limit: u32, found: &mut dyn FnMut(usize)) {
    scan(signatures, query, limit, found);
}

fn chosen(signatures: &[u64], query: u64, limit: u32, found: &mut dyn FnMut(usize)) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { scan_avx2(signatures, query, limit, found) };
        }
        if is_x86_feature_detected!("popcnt") {
            // SAFETY: as above.
            return unsafe { scan_popcnt(signatures, query, limit, found) };
        }
    }
    scan(signatures, query, limit, found);
}
