//! Losses of power, made up from a recording: which images of the files a disk may hold afterwards.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::recording::{Change, Recording};

/// What the disk holds after one loss of power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerLoss {
    /// How many operations the run had asked for when the power went.
    pub after_operation: u64,
    /// How many markers had been set by then: with [`Vfs::mark`](super::Vfs::mark) after each
    /// acknowledged COMMIT, the number of commits that must be there.
    pub after_marks: usize,
    /// The numbers of the operations that had not reached the disk.
    pub lost: Vec<u64>,
    /// The files by name, relative to [`Recording::directory`].
    pub files: BTreeMap<String, Vec<u8>>,
    /// Files of the run that are not there at this point.
    absent: Vec<String>,
}

impl PowerLoss {
    /// Makes the files of a directory what they are in this image: writes those that are there,
    /// removes those that the run knew and this image has not, and the shared memory of each.
    ///
    /// The rollback journals of a transaction over several files hold full paths. Write its images
    /// into the directory of the recording itself; elsewhere their journals do not count as hot.
    pub fn write_to(&self, directory: &Path) -> io::Result<()> {
        for name in &self.absent {
            remove(&directory.join(name))?;
        }
        for name in self.absent.iter().chain(self.files.keys()) {
            remove(&directory.join(format!("{name}-shm")))?;
        }
        for (name, content) in &self.files {
            let path = directory.join(name);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(path, content)?;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The images that a loss of power may leave, for a loss before the first, between any two and after
/// the last operation of a recording.
///
/// What was synced is certain. Of the writes and truncations of a file since its last sync any subset
/// may have reached the disk. Of these subsets, over all files together, the ones tried are: all of
/// them, none, all but one for each one, and one alone for each one. That is at most twice the
/// number of unsynced operations and two for each moment. An image that was there before, with as
/// many markers, is left out; the order is the same each time.
///
/// Not modelled: sectors torn within a write (SQLite relies on none being torn outside of what is
/// written, and has checksums for the rest), the creation and the deletion of a file that are not
/// durable yet or overtake each other (they count as atomic and durable at once, as if every directory
/// were synced), metadata such as size apart from content, and subsets of other shapes.
#[derive(Debug)]
pub struct PowerLossStates<'a> {
    recording: &'a Recording,
    names: Vec<String>,
    files: Vec<Option<FileState>>,
    /// How many events have happened; `None` before the first image.
    happened: Option<usize>,
    marks: usize,
    /// What is still to be shown of this moment.
    losses: VecDeque<Loss>,
    shown: HashSet<u64>,
}

/// A file at one moment.
#[derive(Debug, Default)]
struct FileState {
    /// What is certain.
    synced: Version,
    /// What the process sees.
    current: Version,
    /// The events since the last sync.
    unsynced: Vec<usize>,
}

/// Which of the unsynced events do not reach the disk.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Nothing,
    Everything,
    One(usize),
    AllBut(usize),
}

/// The content of a file with its hash, as most files of an image are the same as in the last one.
#[derive(Debug, Clone, Default)]
struct Version {
    bytes: Vec<u8>,
    hash: OnceCell<u64>,
}

impl Version {
    fn change(&mut self, change: &Change<'_>) {
        self.hash.take();
        match change {
            Change::Write { offset, data } => {
                let start = to_usize(*offset);
                let end = start + data.len();
                if self.bytes.len() < end {
                    self.bytes.resize(end, 0);
                }
                self.bytes[start..end].copy_from_slice(data);
            }
            Change::Truncate { size } => self.bytes.resize(to_usize(*size), 0),
            Change::Create | Change::Sync | Change::Delete => {}
        }
    }

    fn hash(&self) -> u64 {
        *self.hash.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&self.bytes);
            hasher.finish()
        })
    }
}

/// A recording is in memory, so its offsets fit.
fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<'a> PowerLossStates<'a> {
    pub(super) fn new(recording: &'a Recording) -> Self {
        let directory = recording.directory().unwrap_or_default();
        let name = |path: &str| {
            let path = Path::new(path);
            let relative = path.strip_prefix(&directory).unwrap_or(path);
            relative.to_string_lossy().into_owned()
        };
        let initial = |content: &Vec<u8>| {
            let content = Version {
                bytes: content.clone(),
                hash: OnceCell::new(),
            };
            FileState {
                synced: content.clone(),
                current: content,
                unsynced: Vec::new(),
            }
        };
        let files = &recording.files;
        Self {
            recording,
            names: files.iter().map(|file| name(&file.path)).collect(),
            files: files
                .iter()
                .map(|file| file.initial.as_ref().map(initial))
                .collect(),
            happened: None,
            marks: 0,
            losses: VecDeque::new(),
            shown: HashSet::new(),
        }
    }

    /// Goes on to the next moment. `false` at the end.
    fn advance(&mut self) -> bool {
        let newest = match self.happened {
            None => {
                self.happened = Some(0);
                None
            }
            Some(index) if index < self.recording.events.len() => {
                self.happen(index);
                self.happened = Some(index + 1);
                Some(index)
            }
            Some(_) => return false,
        };
        // The latest point of this moment: the more has been acknowledged, the stricter.
        let now = self.now();
        let marks = self.recording.marks.iter();
        let marks = marks.take_while(|(after, _)| *after <= now).count();
        let marked = std::mem::replace(&mut self.marks, marks) != marks;
        let mut unsynced: Vec<usize> = self
            .files
            .iter()
            .flatten()
            .flat_map(|file| file.unsynced.iter().copied())
            .collect();
        unsynced.sort_unstable();
        self.losses.push_back(Loss::Nothing);
        if let Some(newest) = newest
            && !marked
            && unsynced.last() == Some(&newest)
        {
            // Without the newest all was shown a moment ago. What is lost by itself among those
            // before it, and what is left alone, is all that is new.
            unsynced.pop();
            self.losses.extend(unsynced.into_iter().map(Loss::One));
            self.losses.push_back(Loss::AllBut(newest));
        } else {
            self.losses.push_back(Loss::Everything);
            let alone = unsynced.clone().into_iter().map(Loss::AllBut);
            self.losses.extend(unsynced.into_iter().map(Loss::One));
            self.losses.extend(alone);
        }
        true
    }

    /// The number of operations that have been asked for at this moment, at its end.
    fn now(&self) -> u64 {
        let next = self.recording.events.get(self.happened.unwrap_or(0));
        next.map_or(self.recording.operations(), |event| event.operation - 1)
    }

    fn happen(&mut self, index: usize) {
        let event = &self.recording.events[index];
        let slot = &mut self.files[event.file];
        match (&event.change, slot) {
            (Change::Create, slot) => *slot = Some(FileState::default()),
            (Change::Delete, slot) => *slot = None,
            (Change::Sync, Some(file)) => {
                file.synced = file.current.clone();
                file.unsynced.clear();
            }
            (change @ (Change::Write { .. } | Change::Truncate { .. }), Some(file)) => {
                file.current.change(change);
                file.unsynced.push(index);
            }
            // To a file that was deleted while it was open: nobody will see it.
            (_, None) => {}
        }
    }

    /// The image of this moment with this loss, if it is a new one.
    fn image(&mut self, loss: Loss) -> Option<PowerLoss> {
        let events = &self.recording.events;
        let rebuilt = match loss {
            Loss::One(event) | Loss::AllBut(event) => {
                let state = self.files[events[event].file].as_ref()?;
                let mut version = state.synced.clone();
                for &other in &state.unsynced {
                    if (other == event) == matches!(loss, Loss::AllBut(_)) {
                        version.change(&events[other].change);
                    }
                }
                Some((events[event].file, version))
            }
            Loss::Nothing | Loss::Everything => None,
        };
        let version = |index: usize| {
            let state = self.files[index].as_ref()?;
            Some(match (loss, &rebuilt) {
                (_, Some((file, version))) if *file == index => version,
                (Loss::Nothing | Loss::One(_), _) => &state.current,
                (Loss::Everything | Loss::AllBut(_), _) => &state.synced,
            })
        };
        let mut hasher = DefaultHasher::new();
        self.marks.hash(&mut hasher);
        for index in 0..self.files.len() {
            version(index).map(Version::hash).hash(&mut hasher);
        }
        if self.shown.contains(&hasher.finish()) {
            return None;
        }
        let mut files = BTreeMap::new();
        let mut absent = Vec::new();
        for (index, name) in self.names.iter().enumerate() {
            match version(index) {
                Some(version) => {
                    files.insert(name.clone(), version.bytes.clone());
                }
                None => absent.push(name.clone()),
            }
        }
        let unsynced = self.files.iter().flatten().flat_map(|file| &file.unsynced);
        let mut lost: Vec<u64> = unsynced
            .filter(|&&other| match loss {
                Loss::Nothing => false,
                Loss::Everything => true,
                Loss::One(event) => other == event,
                Loss::AllBut(event) => other != event,
            })
            .map(|&other| events[other].operation)
            .collect();
        lost.sort_unstable();
        self.shown.insert(hasher.finish());
        Some(PowerLoss {
            after_operation: self.now(),
            after_marks: self.marks,
            lost,
            files,
            absent,
        })
    }
}

impl Iterator for PowerLossStates<'_> {
    type Item = PowerLoss;

    fn next(&mut self) -> Option<PowerLoss> {
        loop {
            while let Some(loss) = self.losses.pop_front() {
                if let Some(image) = self.image(loss) {
                    return Some(image);
                }
            }
            if !self.advance() {
                return None;
            }
        }
    }
}
