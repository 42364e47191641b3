//! Python's strings as bytes.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::tokens::Tokens;

/// Calls `with` with the text in lower case, as Python's; ASCII is left to `with`. Half a surrogate pair, which has no
/// UTF-8, comes as the three bytes that it would have.
pub fn lowered<T>(text: &Bound<'_, PyString>, with: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
    let py = text.py();
    if text.call_method0(intern!(py, "isascii"))?.is_truthy()? {
        return Ok(with(text.to_str()?.as_bytes()));
    }
    // The versions of Unicode of Rust and Python differ. Encoding the lowered text leaves no bytes in the caller's.
    let lowered = text.call_method0(intern!(py, "lower"))?;
    encoded(lowered.cast::<PyString>()?, with)
}

fn encoded<T>(text: &Bound<'_, PyString>, with: impl FnOnce(&[u8]) -> T) -> PyResult<T> {
    if let Ok(plain) = text.to_str() {
        return Ok(with(plain.as_bytes()));
    }
    let py = text.py();
    let bytes = text.call_method1(intern!(py, "encode"), ("utf-8", "surrogatepass"))?;
    Ok(with(bytes.extract::<&[u8]>()?))
}

/// The tokens of what is given: a text for the default tokenizer, or the tokens themselves.
pub fn tokens_of(given: &Bound<'_, PyAny>, tokens: &mut Tokens) -> PyResult<()> {
    if let Ok(text) = given.cast::<PyString>() {
        return lowered(text, |bytes| tokens.split(bytes));
    }
    tokens.clear();
    for token in given.try_iter()? {
        let token = token?;
        encoded(token.cast::<PyString>()?, |bytes| tokens.push(bytes))?;
    }
    Ok(())
}
