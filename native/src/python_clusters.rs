//! The clusters as a Python class.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::clusters::Clusters;
use crate::texts::lowered;

/// A classifier of n-grams, ready to be applied. Raises ValueError for half a surrogate pair.
#[pyclass(name = "Clusters", module = "sedi_native")]
pub struct PyClusters {
    clusters: Clusters,
    lower: String,
}

#[pymethods]
impl PyClusters {
    #[new]
    fn new(
        sizes: (usize, usize),
        vocabulary: Vec<String>,
        idf: Vec<f64>,
        components: Vec<Vec<f64>>,
        means: Vec<f64>,
        cuts: Vec<Vec<f64>>,
    ) -> Self {
        PyClusters { clusters: Clusters::new(sizes, vocabulary, &idf, &components, means, cuts), lower: String::new() }
    }

    /// The coordinates of each text on each axis, [texts][axes].
    fn coordinates(&mut self, texts: Vec<Bound<'_, PyString>>) -> PyResult<Vec<Vec<f64>>> {
        texts.iter().map(|text| self.each(text, Clusters::coordinates)).collect()
    }

    /// The cluster of each text.
    fn clusters(&mut self, texts: Vec<Bound<'_, PyString>>) -> PyResult<Vec<u64>> {
        texts.iter().map(|text| self.each(text, Clusters::cluster)).collect()
    }
}

impl PyClusters {
    fn each<T>(&mut self, text: &Bound<'_, PyString>, apply: fn(&mut Clusters, &str) -> T) -> PyResult<T> {
        let PyClusters { clusters, lower } = self;
        lower.clear();
        let whole = lowered(text, |bytes| std::str::from_utf8(bytes).map(|text| lower.push_str(text)).is_ok())?;
        if !whole {
            return Err(PyValueError::new_err("The text has half a surrogate pair; it has no UTF-8."));
        }
        lower.make_ascii_lowercase();
        Ok(apply(clusters, lower))
    }
}
