//! The compiled core: what `streams/core` decides with, bit for bit as its Python does, and faster. Pure.
//!
//! tokens, texts        the default tokenizer; Python's strings
//! index                the similarity index; its parts are bounds, identities, lcs, lists, scan, table, vocabulary
//! pickled              the index as bytes
//! identity             ids
//! clusters, space      the clusters of a classifier of n-grams
//! python_*             the classes that Python sees

mod bounds;
mod clusters;
mod identities;
mod identity;
mod index;
mod lcs;
mod lists;
mod pickled;
mod python_clusters;
mod python_index;
mod scan;
mod space;
mod table;
mod texts;
mod tokens;
mod vocabulary;

use pyo3::prelude::*;

#[pymodule]
fn sedi_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<python_index::PyIndex>()?;
    module.add_class::<python_clusters::PyClusters>()?;
    module.add_function(wrap_pyfunction!(python_index::rouge_tokens, module)?)?;
    module.add_function(wrap_pyfunction!(child_id, module)?)
}

/// The id of what `cause` produces at `place`; None when `cause` is no UUID in its usual form.
#[pyfunction]
fn child_id(cause: &str, place: &str) -> Option<String> {
    identity::child(cause, place)
}
