//! The index as a Python class; `streams/core/similarity/native.py` gives it the API of the reference.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyBytes, PyList};

use crate::index::{Index, Position};
use crate::texts::tokens_of;
use crate::tokens::Tokens;

type Item<'py> = (PyBackedStr, Bound<'py, PyAny>, i64, i32);

/// Texts by id, searchable for the nearest. A text is a string, for the default tokenizer, or a list of its tokens.
#[pyclass(name = "Index", module = "sedi_native")]
pub struct PyIndex {
    index: Index,
    tokens: Tokens,
}

#[pymethods]
impl PyIndex {
    #[new]
    fn new(threshold: f64) -> Self {
        PyIndex { index: Index::new(threshold), tokens: Tokens::default() }
    }

    fn __len__(&self) -> usize {
        self.index.ids.len()
    }

    fn __contains__(&self, id: &str) -> bool {
        self.index.ids.slot(id).is_some()
    }

    fn __sizeof__(&self) -> usize {
        std::mem::size_of::<Self>() + self.index.held()
    }

    /// The greatest position added.
    #[getter]
    fn last(&self) -> Position {
        self.index.last
    }

    /// Add a text; False, and nothing done, when the id is there already.
    fn add(&mut self, id: &str, text: &Bound<'_, PyAny>, offset: i64, place: i32) -> PyResult<bool> {
        if self.index.ids.slot(id).is_some() {
            return Ok(false);
        }
        tokens_of(text, &mut self.tokens)?;
        self.index.add(id, &self.tokens, (offset, place));
        self.index.list(usize::MAX);
        Ok(true)
    }

    /// Store texts for `list_some`; how many, fewer than given where an id is there already.
    fn store(&mut self, py: Python<'_>, items: Vec<Item<'_>>) -> PyResult<usize> {
        let mut texts = Vec::with_capacity(items.len());
        for (id, text, offset, place) in items {
            let mut tokens = Tokens::default();
            tokens_of(&text, &mut tokens)?;
            texts.push((id, tokens, (offset, place)));
        }
        let index = &mut self.index;
        Ok(py.detach(move || {
            for (done, (id, tokens, position)) in texts.iter().enumerate() {
                if index.ids.slot(id).is_some() {
                    return done;
                }
                index.add(id, tokens, *position);
            }
            texts.len()
        }))
    }

    /// List up to `count` of the stored texts; how many are left.
    fn list_some(&mut self, py: Python<'_>, count: usize) -> usize {
        let index = &mut self.index;
        py.detach(move || index.list(count))
    }

    /// Take a text out; False when there is none.
    fn remove(&mut self, id: &str) -> bool {
        self.index.remove(id)
    }

    #[pyo3(signature = (text, before=None))]
    fn nearest_above(&mut self, text: &Bound<'_, PyAny>, before: Option<Position>) -> PyResult<Option<(f64, String)>> {
        tokens_of(text, &mut self.tokens)?;
        let nearest = self.index.nearest_above(&self.tokens, before);
        Ok(nearest.map(|(score, slot)| (score, self.index.ids.id(slot))))
    }

    /// Of each text in turn the nearest; one without is added. No id may be there already, nor come twice.
    fn add_unless_similar(&mut self, items: Vec<Item<'_>>) -> PyResult<Vec<Option<(f64, String)>>> {
        let mut found = Vec::with_capacity(items.len());
        let mut texts = Vec::with_capacity(items.len());
        for (_, text, _, _) in &items {
            let mut tokens = Tokens::default();
            tokens_of(text, &mut tokens)?; // what may fail comes before the first change
            texts.push(tokens);
        }
        for ((id, _, offset, place), tokens) in items.iter().zip(&texts) {
            let nearest = self.index.add_unless_similar(id, tokens, (*offset, *place));
            found.push(nearest.map(|(score, slot)| (score, self.index.ids.id(slot))));
        }
        Ok(found)
    }

    fn dump<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.index.dump())
    }

    #[staticmethod]
    fn load(state: &[u8]) -> PyResult<Self> {
        let index = Index::load(state).ok_or_else(|| {
            PyValueError::new_err("These bytes are no pickled index of this version; make the index again.")
        })?;
        Ok(PyIndex { index, tokens: Tokens::default() })
    }
}

/// The tokens of a text by the default tokenizer.
#[pyfunction]
pub fn rouge_tokens<'py>(text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let mut tokens = Tokens::default();
    tokens_of(text, &mut tokens)?;
    // Tokens of a text are ASCII.
    PyList::new(text.py(), tokens.iter().map(|token| std::str::from_utf8(token).unwrap_or_default()))
}
