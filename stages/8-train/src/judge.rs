//! `Judge`: how good generated pictures are, against the photos of a packed dataset.
//!
//! The features of the photos are found once, and kept in a folder: only generated pictures cost time afterwards.
//!
//! What it refuses to do: compare with augmented pictures. Where the dataset's index says which rows are plain, only those are
//! looked at: a generator that learnt the augmentation should not be praised for it. Of a photo that has no plain row the first one is.

use std::{
    collections::HashSet,
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use catgen_api::{Digest, StageError};
use serde::{Deserialize, Serialize};

use crate::{
    Pictures,
    features::{Extractor, INCEPTION},
    metrics::{self, Distances, Sample, Variety, cross, quantile},
    npy::{self, NpyError},
};

/// Fewer photos than this are no set to compare with.
const FEWEST: usize = 4;

/// Photos of each side that are kept as pictures.
const KEPT: usize = 512;

/// How many of the pictures that are nearest to a training photo are named.
const NAMED: usize = 5;

/// A generated picture counts as copied if it is nearer to a training photo than this share of held-out photos is.
const COPIED_BELOW: f64 = 0.05;

/// A packed dataset on disk.
#[derive(Debug, Clone)]
pub struct Packed {
    /// `train.npy`.
    pub train: PathBuf,
    /// `held_out.npy`, if photos were held out.
    pub held_out: Option<PathBuf>,
    /// `index.jsonl`, if there is one: which rows are plain, and the photo of each.
    pub index: Option<PathBuf>,
}

/// A dataset that cannot be judged by.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// A file of the dataset.
    #[error("the dataset {path}: {source}")]
    Dataset {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: NpyError,
    },
    /// A file that cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the file system said.
        source: io::Error,
    },
    /// The network of the features.
    #[error("{0}")]
    Features(#[from] StageError),
    /// Too few pictures, or features that are no numbers.
    #[error("{0}")]
    Unfit(String),
}

impl JudgeError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Features(StageError::Missing { hint, .. } | StageError::Broken { hint, .. }) => hint.clone(),
            Self::Features(StageError::Param { .. }) => String::new(),
            Self::Dataset { .. } => "run `catgen-pipe run --until Export` to pack the pictures again".to_owned(),
            Self::File { .. } => "see that the file may be read, and that the disk has room".to_owned(),
            Self::Unfit(_) => "more pictures are needed".to_owned(),
        }
    }
}

/// How good a set of generated pictures is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What the pictures were compared by: numbers of other features mean something else.
    pub features: String,
    /// The generated pictures.
    pub pictures: u64,
    /// Against photos that the generator never saw; none where too few were held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<Distances>,
    /// Against those it was trained on.
    pub training: Distances,
    /// How varied they are, over how varied the training photos are.
    pub variety: Variety,
    /// Whether training photos were learnt by heart.
    pub copied: Copied,
}

/// How near generated pictures come to training photos, beside how near held-out photos do.
///
/// A generator that has learnt what cats look like draws pictures that are as far from any training photo as another photo is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    /// The share of generated pictures nearer to a training photo than all but 5 % of the photos they are measured by: 0.05 is usual.
    pub share: f64,
    /// Median distance of a generated picture to the nearest training photo over that of a held-out photo: 1 or more is usual.
    pub ratio: f64,
    /// Whether held-out photos are what they are measured by; else training photos, each by its distance to the nearest other.
    pub by_held_out: bool,
    /// The generated pictures that come nearest, nearest first.
    pub nearest: Vec<Pair>,
}

/// A generated picture and the training photo that it comes nearest to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The picture's place among those that were judged, from 0.
    pub picture: u64,
    /// The photo's row in `train.npy`.
    pub row: u64,
    /// The photo's name, where the dataset has an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<String>,
    /// How far they are from each other.
    pub distance: f64,
}

/// One line of the dataset's index; more may be in it.
#[derive(Deserialize)]
struct Line {
    file: String,
    row: u64,
    photo: String,
    plain: bool,
}

/// Some training photos, all held-out ones, and what makes features of others.
pub struct Judge {
    extractor: Box<dyn Extractor>,
    training: Sample,
    held_out: Option<Sample>,
    /// Distances to the nearest training photo: of held-out photos, else of the training photos themselves.
    usual: Vec<f64>,
    /// For each picture of `training` its row and its photo.
    rows: Vec<(u64, Option<String>)>,
    side: usize,
    /// The first of both sides, as they are.
    photos: Option<[Pictures; 2]>,
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("features", &self.features()).field("training", &self.training.len()).finish_non_exhaustive()
    }
}

impl Judge {
    /// Finds the features of the dataset's photos, of at most `most` on each side, or reads them from the folder `cache`.
    ///
    /// # Errors
    /// A dataset that cannot be read or has fewer than four photos, and a network that does not work.
    pub fn new(extractor: Box<dyn Extractor>, data: &Packed, most: usize, cache: Option<&Path>) -> Result<Self, JudgeError> {
        let lines = match &data.index {
            Some(path) => read_index(path)?,
            None => Vec::new(),
        };
        let side_of = |path: &Path| {
            let header = npy::open(path).map_err(|source| JudgeError::Dataset { path: path.display().to_string(), source })?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // In the store a file is called by its digest: then what is not held out is what is trained on.
            let is_held_out = data.held_out.as_deref() == Some(path);
            let meant = if is_held_out { "held_out.npy" } else { "train.npy" };
            let here: Vec<&Line> = lines.iter().filter(|line| line.file == name || line.file == meant).collect();
            let plain: HashSet<&str> = here.iter().filter(|line| line.plain).map(|line| line.photo.as_str()).collect();
            let mut seen = HashSet::new();
            let mut is_meant = |line: &Line| line.plain || !plain.contains(line.photo.as_str()) && seen.insert(line.photo.clone());
            let meant: Vec<&Line> = here.into_iter().filter(|&line| is_meant(line)).collect();
            let mut rows: Vec<(u64, Option<String>)> = meant.into_iter().map(|line| (line.row, Some(line.photo.clone()))).collect();
            if rows.is_empty() {
                rows = (0..header.images).map(|row| (row, None)).collect();
            }
            rows.truncate(most);
            let places: Vec<u64> = rows.iter().map(|(row, _)| *row).collect();
            let pictures =
                Pictures::read(path, Some(&places)).map_err(|source| JudgeError::Dataset { path: path.display().to_string(), source })?;
            Ok::<_, JudgeError>((rows, pictures))
        };
        let (rows, pictures) = side_of(&data.train)?;
        if pictures.len() < FEWEST {
            return Err(JudgeError::Unfit(format!("there are {} photos to compare with, and {FEWEST} is the least", pictures.len())));
        }
        let side = pictures.side();
        let training = sample(&*extractor, &pictures, cache)?;
        let held_out = match &data.held_out {
            Some(path) => Some(side_of(path)?.1).filter(|pictures| pictures.len() >= FEWEST),
            None => None,
        };
        let photos = held_out.as_ref().map(|held_out| {
            let count = held_out.len().min(pictures.len()).min(KEPT);
            [pictures.clone().first(count), held_out.clone().first(count)]
        });
        let held_out = held_out.map(|pictures| sample(&*extractor, &pictures, cache)).transpose()?;
        let usual = match &held_out {
            Some(held_out) => cross(&training, held_out).nearest.into_iter().map(|(_, distance)| distance).collect(),
            None => training.nearest(),
        };
        Ok(Self { extractor, training, held_out, usual, rows, side, photos })
    }

    /// What pictures are compared by.
    pub fn features(&self) -> &str {
        self.extractor.name()
    }

    /// The side of the dataset's pictures.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Equally many training and held-out photos, `most` of each or fewer: what a discriminator can be asked about. None where none
    /// is held out.
    pub fn some_photos(&self, most: usize) -> Option<[Pictures; 2]> {
        self.photos.as_ref().map(|pair| pair.clone().map(|pictures| pictures.first(most)))
    }

    /// How good these pictures are.
    ///
    /// # Errors
    /// Fewer than four pictures, or a network that does not work.
    pub fn judge(&self, pictures: &Pictures) -> Result<Evaluation, JudgeError> {
        if pictures.len() < FEWEST {
            return Err(JudgeError::Unfit(format!("there are {} pictures to judge, and {FEWEST} is the least", pictures.len())));
        }
        let fake = sample(&*self.extractor, pictures, None)?;
        let with_training = cross(&self.training, &fake);
        let copied = self.copied(&with_training.nearest);
        Ok(Evaluation {
            features: self.features().to_owned(),
            pictures: fake.len() as u64,
            held_out: self.held_out.as_ref().map(|held_out| metrics::distances(held_out, &fake, &cross(held_out, &fake))),
            training: metrics::distances(&self.training, &fake, &with_training),
            variety: metrics::variety(&self.training, &fake),
            copied,
        })
    }

    fn copied(&self, nearest: &[(usize, f64)]) -> Copied {
        let distances: Vec<f64> = nearest.iter().map(|(_, distance)| *distance).collect();
        let near = quantile(&self.usual, COPIED_BELOW);
        let usual = quantile(&self.usual, 0.5);
        let mut order: Vec<usize> = (0..nearest.len()).collect();
        order.sort_by(|a, b| distances[*a].total_cmp(&distances[*b]));
        let pair = |at: usize| {
            let (row, photo) = &self.rows[nearest[at].0];
            Pair { picture: at as u64, row: *row, photo: photo.clone(), distance: distances[at] }
        };
        Copied {
            share: distances.iter().filter(|distance| **distance < near).count() as f64 / distances.len() as f64,
            // Photos that are all the same are at no distance from each other.
            ratio: if usual > 0.0 { quantile(&distances, 0.5) / usual } else { 1.0 },
            by_held_out: self.held_out.is_some(),
            nearest: order.into_iter().take(NAMED).map(pair).collect(),
        }
    }
}

impl Evaluation {
    /// The distances to look at: from held-out photos if there are enough of them, else from training photos.
    pub fn headline(&self) -> &Distances {
        self.held_out.as_ref().unwrap_or(&self.training)
    }

    /// The photos of [`Evaluation::headline`].
    pub fn against(&self) -> &'static str {
        if self.held_out.is_some() { "held-out photos" } else { "training photos" }
    }

    /// What the Fréchet distance is called: FID only with the network that gave FID its name.
    pub fn frechet_name(&self) -> &'static str {
        if self.features == INCEPTION { "FID" } else { "Fréchet distance" }
    }

    /// One line for people: `KID ×1000 12.3 ± 1.1 against 25 held-out photos (efficientnet-lite0-…), precision 0.61, recall 0.32, spread 0.93`.
    pub fn sentence(&self) -> String {
        let Distances { photos, kid, kid_error, precision, recall, .. } = self.headline();
        let error = kid_error.map_or_else(String::new, |error| format!(" ± {:.1}", 1000.0 * error));
        format!(
            "KID ×1000 {:.1}{error} against {photos} {} ({}), precision {precision:.2}, recall {recall:.2}, spread {:.2}",
            1000.0 * kid,
            self.against(),
            self.features,
            self.variety.spread
        )
    }
}

fn read_index(path: &Path) -> Result<Vec<Line>, JudgeError> {
    let failed = |source: io::Error| JudgeError::File { path: path.display().to_string(), source };
    let text = fs::read_to_string(path).map_err(failed)?;
    text.lines().map(|line| serde_json::from_str(line).map_err(|error| failed(error.into()))).collect()
}

/// The pictures' features, out of the folder `cache` if they were found before.
fn sample(extractor: &dyn Extractor, pictures: &Pictures, cache: Option<&Path>) -> Result<Sample, JudgeError> {
    let unfit = || JudgeError::Unfit(format!("the features {} of these pictures are no numbers", extractor.name()));
    let Some(cache) = cache else {
        return Sample::new(pictures.len(), &extractor.features(pictures)?).ok_or_else(unfit);
    };
    let name = [extractor.name().as_bytes(), &[0], Digest::of(pictures.bytes()).as_bytes()].concat();
    let path = cache.join(format!("{}.f32", Digest::of(&name).short()));
    let known = fs::read(&path).ok().and_then(|bytes| {
        // The last four bytes are a check on the others.
        let (bytes, check) = bytes.split_last_chunk::<4>()?;
        (Digest::of(bytes).as_bytes()[..4] == *check)
            .then(|| bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect::<Vec<_>>())
    });
    if let Some(sample) = known.and_then(|features| Sample::new(pictures.len(), &features)) {
        return Ok(sample);
    }
    let features = extractor.features(pictures)?;
    let mut bytes: Vec<u8> = features.iter().flat_map(|value| value.to_le_bytes()).collect();
    bytes.extend_from_slice(&Digest::of(&bytes).as_bytes()[..4]);
    let write = || -> io::Result<()> {
        fs::create_dir_all(cache)?;
        let mut file = tempfile::NamedTempFile::new_in(cache)?;
        file.write_all(&bytes)?;
        file.persist(&path)?;
        Ok(())
    };
    write().map_err(|source| JudgeError::File { path: path.display().to_string(), source })?;
    Sample::new(pictures.len(), &features).ok_or_else(unfit)
}

#[cfg(test)]
mod tests;
