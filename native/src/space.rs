//! White space as Python's `str.split` sees it, so that words are the same.

/// Of Unicode; `tests/unit/core/test_native.py` compares it with Python's.
fn is_space(character: char) -> bool {
    matches!(
        u32::from(character),
        0x09..=0x0d | 0x1c..=0x20 | 0x85 | 0xa0 | 0x1680 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000
    )
}

pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}
