//! The network: loaded once for each process, then asked; it must not know where a picture comes from, nor what is
//! made of its answer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use rten::{Model, ModelOptions, RunOptions, ThreadPool};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use serde::Serialize;

use crate::picture::SIDE;

/// How many classes are told, the most probable first.
const TOLD: usize = 5;
/// One thread for each process: a gateway runs as many workers as there are cores, and work that is spread over
/// processes needs no locks.
const THREADS: usize = 1;

/// Where `examples/model/prepare` puts what it makes, below the folder `target`.
const FOLDER: &str = "model";
/// The variable that names the folder, for programs that stand elsewhere.
pub(crate) const FOLDER_VARIABLE: &str = "MODEL_FOLDER";

/// Why there is no network, or none that answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file is not there.
    #[error(
        "cannot read {}: {source}; examples/model/prepare makes it, and {FOLDER_VARIABLE} says where it is", path.display()
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no network that can be run.
    #[error("cannot load {}: {source}; examples/model/prepare makes it anew when it is removed", path.display())]
    Load {
        /// Which file.
        path: PathBuf,
        /// What rten says.
        source: rten::LoadError,
    },
    /// It could not be run.
    #[error("the network gives no answer: {0}")]
    Run(#[from] rten::RunError),
    /// What it gives are no probabilities.
    #[error("the network gives something else than probabilities: {0}")]
    Kind(#[from] rten::TryFromValueError),
    /// It has other classes than there are names.
    #[error("the network knows {known} classes, and {} names {named}", path.display())]
    Labels {
        /// Numbers that the network gives.
        known: usize,
        /// Lines of the file.
        named: usize,
        /// The file with the names.
        path: PathBuf,
    },
}

/// One of the classes, and how sure the network is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Class {
    /// Its number among ImageNet's, 0 to 999.
    pub(crate) class: usize,
    /// Its first name.
    pub(crate) name: String,
    /// Its other names, with commas.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) also: String,
    /// 0 to 1, with four digits.
    pub(crate) probability: f64,
}

/// The loaded network, and the names of its classes.
pub(crate) struct Classifier {
    model: Model,
    threads: Arc<ThreadPool>,
    labels: Vec<String>,
    /// How long it took to load.
    pub(crate) load_time: Duration,
}

impl Classifier {
    /// Reads the network and the names from the folder that `prepare` filled.
    pub(crate) fn load() -> Result<Self, Error> {
        let start = Instant::now();
        let folder = folder();
        let path = folder.join("mobilenet_v2.onnx");
        // rten would say only that the system found no file.
        if let Err(source) = fs::metadata(&path) {
            return Err(Error::File { path, source });
        }
        // The network runs as it is: what an optimiser could do to it was done when it was written.
        let model = ModelOptions::with_all_ops()
            .enable_optimization(false)
            .load_file(&path)
            .map_err(|source| Error::Load { path, source })?;
        let path = folder.join("labels.txt");
        let labels = match fs::read_to_string(&path) {
            Ok(labels) => labels.lines().map(str::to_owned).collect(),
            Err(source) => return Err(Error::File { path, source }),
        };
        let threads = Arc::new(ThreadPool::with_num_threads(THREADS));
        Ok(Self { model, threads, labels, load_time: start.elapsed() })
    }

    /// The most probable classes of a picture: three planes of [`SIDE`] times [`SIDE`] numbers.
    pub(crate) fn classify(&self, planes: Vec<f32>) -> Result<Vec<Class>, Error> {
        let input = NdTensor::from_data([1, 3, SIDE, SIDE], planes);
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.threads)));
        let output = self.model.run_one(input.into(), Some(options))?;
        let output: NdTensor<f32, 2> = output.try_into()?;
        let probabilities = output.to_vec();
        if probabilities.len() != self.labels.len() {
            let (known, named) = (probabilities.len(), self.labels.len());
            return Err(Error::Labels { known, named, path: folder().join("labels.txt") });
        }
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|one, other| probabilities[*other].total_cmp(&probabilities[*one]));
        Ok(order.into_iter().take(TOLD).map(|class| self.told(class, probabilities[class])).collect())
    }

    fn told(&self, class: usize, probability: f32) -> Class {
        let names = &self.labels[class];
        let (name, also) = names.split_once(", ").unwrap_or((names, ""));
        let probability = (f64::from(probability) * 1e4).round() / 1e4;
        Class { class, name: name.to_owned(), also: also.to_owned(), probability }
    }
}

/// The folder of the network: the one that is named, or the one beside the folder of this program, which cargo puts
/// into `target/release` or `target/debug`.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
        return folder.into();
    }
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().and_then(Path::parent).unwrap_or_else(|| Path::new("target")).join(FOLDER)
}
