//! `--pcap-out`: the frames of the flows that leak, with comments.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};

use super::World;
use super::scan::same_file;
use crate::model::event::{self, Leak};
use crate::model::finding::Finding;
use crate::model::shown::counted;
use crate::pipeline::{Leaking, Options, Tape, extract};
use crate::sink::{FrameFile, Place, Rotation, Spec, sentence};
use crate::source::Input;

/// The file of frames of a run; without one nothing is done.
pub(super) struct Frames(Option<Open>);

struct Open {
    path: PathBuf,
    file: Arc<Mutex<FrameFile>>,
    tape: Tape,
    leaking: Leaking,
    /// Leaks told in what is read once only.
    is_live: bool,
}

impl Frames {
    /// Begins the file that the settings name. What is live is put aside by `rotation`.
    pub(super) fn open(
        world: &World<'_>,
        outputs: &[Spec],
        inputs: &[Input],
        rotation: Option<Rotation>,
    ) -> anyhow::Result<Self> {
        let Some(path) = world.config.pcap_out.clone() else { return Ok(Self(None)) };
        let is_same = |other: &Path| other == path || same_file(other, &path);
        if inputs.iter().any(|input| is_same(&input.path)) {
            bail!("--pcap-out would overwrite the input {}", path.display());
        }
        if outputs.iter().any(|spec| matches!(&spec.place, Place::File(file) if is_same(file))) {
            bail!("--pcap-out and a sink would write to {}", path.display());
        }
        let is_live =
            rotation.is_some() || inputs.iter().any(|input| crate::pipeline::is_stream(&input.path));
        let file =
            FrameFile::open(&path, rotation).with_context(|| format!("cannot write {}", path.display()))?;
        let file = Arc::new(Mutex::new(file));
        let tape = Tape::new(Box::new({
            let file = Arc::clone(&file);
            move |frame, source, comments| {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.frame(frame, source, comments)?;
                file.flush()
            }
        }));
        Ok(Self(Some(Open { path, file, tape, leaking: Leaking::default(), is_live })))
    }

    /// What the pipeline needs to know of it.
    pub(super) fn tape(&self) -> Option<Tape> {
        self.0.as_ref().filter(|open| open.is_live).map(|open| open.tape.clone())
    }

    /// Takes note of each sighting of what is told.
    pub(super) fn sighting(&mut self, finding: &Finding) {
        let Some(open) = &mut self.0 else { return };
        let leak = event::leak(finding, None, false, false);
        if open.is_live {
            open.tape.leak(&leak, comment(&leak));
        }
        open.leaking.add(&leak, comment(&leak));
    }

    /// Writes what is to be written of the inputs. How many things could not be done.
    pub(super) fn finish(&mut self, inputs: &[Input], options: &Options) -> u64 {
        let Some(open) = &mut self.0 else { return 0 };
        let result = open.write(inputs, options);
        if let Err(error) = result {
            tracing::error!("cannot write {}: {error}", open.path.display());
            return 1;
        }
        0
    }
}

impl Open {
    fn write(&mut self, inputs: &[Input], options: &Options) -> std::io::Result<()> {
        let lost = self.tape.finish()?;
        if lost > 0 {
            let (path, leaks) = (self.path.display(), counted(lost, "leak"));
            tracing::warn!("{path}: {leaks} without their frame: there was no room to keep it");
        }
        if options.stop.load(Ordering::Relaxed) && !self.is_live {
            tracing::warn!("{} holds no frames: the inputs are not read again", self.path.display());
            return Ok(());
        }
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        extract(inputs, options, &self.leaking, &mut |frame, source, comments| {
            file.frame(frame, source, comments)
        })?;
        file.flush()
    }
}

/// What Wireshark shows at the frame.
fn comment(leak: &Leak) -> String {
    let advice = leak.advice.as_deref().map(|advice| format!(" {advice}")).unwrap_or_default();
    format!(
        "leaktap: {} {} (rule {}, {} confidence, leak {}).{advice}",
        leak.severity.as_str(),
        sentence(leak),
        leak.rule,
        leak.confidence.as_str(),
        leak.id
    )
}
