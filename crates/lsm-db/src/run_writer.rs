//! One run being written, and its filter: a new file under a new id, durable when finished.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use lsm_format::{Entry, RunStream, WriteError};
use lsm_fs::File;
use lsm_version::{RunMeta, run_file_name};

use crate::engine::Engine;
use crate::filter::OutputFilter;
use crate::job_memory::Charge;
use crate::run::RunContext;
use crate::{Error, Result};

const WRITE_BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug)]
struct Appender(Arc<dyn File>);

impl Write for Appender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct RunOutput {
    id: u64,
    path: PathBuf,
    file: Arc<dyn File>,
    stream: Option<RunStream<BufWriter<Appender>>>,
    filter: OutputFilter,
    context: Arc<RunContext>,
    memory: Charge,
    /// The length of the file at which that is looked at again.
    charged_at: u64,
}

impl RunOutput {
    /// `is_deepest`: nothing can come to lie below it.
    pub(crate) fn create(engine: &Engine, is_deepest: bool) -> Result<Self> {
        let id = engine.take_run_id()?;
        let path = engine.run_context.run_path(id);
        let created = engine.directory.create_new(&run_file_name(id));
        let file = created.map_err(|source| engine.gone_or("create a run", &path, source))?;
        let appender = Appender(Arc::clone(&file));
        let buffered = BufWriter::with_capacity(WRITE_BUFFER_BYTES, appender);
        Ok(Self {
            id,
            path,
            file,
            stream: Some(RunStream::new(buffered)),
            filter: OutputFilter::new(&engine.run_context, is_deepest),
            context: Arc::clone(&engine.run_context),
            memory: engine.run_context.jobs.charge(),
            charged_at: 0,
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let pushed = match &mut self.stream {
            Some(stream) => stream.push(key, Entry::from(value)),
            None => return Err(self.error(io::ErrorKind::Other.into())),
        };
        pushed.map_err(|error| self.write_error(error))?;
        self.filter.push(key);
        if self.bytes() >= self.charged_at {
            self.charge();
        }
        Ok(())
    }

    /// Says how much memory it holds, now and then.
    fn charge(&mut self) {
        self.charged_at = self.bytes() + WRITE_BUFFER_BYTES as u64;
        let stream = self.stream.as_ref().map_or(0, RunStream::memory_bytes);
        self.memory
            .set(WRITE_BUFFER_BYTES + stream + self.filter.scratch_bytes());
    }

    /// Bytes of the file so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.stream.as_ref().map_or(0, RunStream::bytes_written)
    }

    /// Ends the run and syncs it; its name is durable only after the directory's sync.
    pub(crate) fn finish(&mut self) -> Result<Arc<RunMeta>> {
        let Some(stream) = self.stream.take() else {
            return Err(self.error(io::ErrorKind::Other.into()));
        };
        let (buffered, summary) = stream.finish().map_err(|error| self.write_error(error))?;
        let flushed = buffered
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        flushed.map_err(|source| self.error(source))?;
        self.file
            .sync()
            .map_err(|source| Error::io("sync a run", &self.path, source))?;
        let meta = Arc::new(RunMeta {
            id: self.id,
            file_len: summary.file_len,
            entry_count: summary.entry_count,
            tombstone_count: summary.tombstone_count,
            index_len: summary.index_len,
            index_crc: summary.index_crc,
            smallest_key: summary.smallest_key,
            largest_key: summary.largest_key,
        });
        self.filter.write(&self.context, &meta);
        Ok(meta)
    }

    fn error(&self, source: io::Error) -> Error {
        Error::io("write a run", &self.path, source)
    }

    fn write_error(&self, error: WriteError) -> Error {
        match error {
            WriteError::Io(source) => self.error(source),
            other => self.error(io::Error::other(other)),
        }
    }
}
