//! One life of a child, as its parent sees it: started, listened to, killed or not, buried.
//!
//! Called by the parts of this module that need a process. Feeds the oracle with all that the child
//! said, also with what lay in the pipe when it died; judges nothing but a child that hangs.

use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::child::JOB_VARIABLE;
use super::deadly_fs::Point;
use super::job::Job;
use super::oracle::Oracle;
use super::record::Record;

/// A child that says nothing for so long hangs. No measure of speed: a thousand times what it takes.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// How a child is started: a program, and the arguments that lead it to [`child::run`](super::child).
#[derive(Debug, Clone)]
pub struct Program {
    /// The program.
    pub path: PathBuf,
    /// What comes behind it.
    pub arguments: Vec<String>,
}

/// A kill from outside.
#[derive(Debug, Clone, Copy)]
pub struct Shot {
    /// Once the child has said so many things.
    pub records: u32,
    /// And so long after that.
    pub pause: Duration,
}

/// How a life went.
#[derive(Debug)]
pub struct Life {
    /// How the process ended.
    pub status: ExitStatus,
    /// Where it killed itself.
    pub point: Option<Point>,
    /// How many operations its last open took.
    pub opened_after: Option<u32>,
    /// It got to its end, after so many operations of the chosen phase.
    pub survived: Option<u32>,
    /// How many actions were refused.
    pub refusals: u32,
    /// Whether writing had ended.
    pub poisoned: bool,
    /// How many actions were answered.
    pub answers: u32,
}

impl Life {
    /// Whether it was killed: by itself, its parent, or a tracer.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(rustix::process::Signal::KILL.as_raw())
    }
}

impl Program {
    /// This very program, with arguments that make it a child.
    ///
    /// # Errors
    /// If the system does not say which program this is.
    pub fn this(arguments: &[&str]) -> Result<Self, String> {
        Ok(Self {
            path: std::env::current_exe().map_err(|error| error.to_string())?,
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        })
    }

    /// The command that starts it; `wrapper` is put before it.
    pub fn command(&self, wrapper: &[String]) -> Command {
        let mut words = wrapper.to_vec();
        words.push(self.path.display().to_string());
        words.extend(self.arguments.iter().cloned());
        let mut command = Command::new(words.remove(0));
        command.args(words);
        command
    }
}

/// Lets a child live, kills it if told to, and listens to the end.
///
/// # Errors
/// What the oracle does not allow; a child that hangs or ends badly; the system's own errors.
pub fn live(
    program: &Program,
    wrapper: &[String],
    job: &Job,
    oracle: &mut Oracle,
    shot: Option<Shot>,
) -> Result<Life, String> {
    oracle.begin_life(job);
    let (ours, theirs) = UnixStream::pair().map_err(|error| format!("a socket: {error}"))?;
    let mut child = program
        .command(wrapper)
        .env(JOB_VARIABLE, job.encode())
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("start {}: {error}", program.path.display()))?;
    let heard = listen(&mut child, ours, oracle, shot);
    if heard.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let life = Life { status, ..heard? };
    if !life.was_killed() && !status.success() {
        return Err(format!("the child ended badly: {status}"));
    }
    Ok(life)
}

fn listen(
    child: &mut Child,
    mut pipe: UnixStream,
    oracle: &mut Oracle,
    shot: Option<Shot>,
) -> Result<Life, String> {
    pipe.set_read_timeout(Some(SILENCE_MAX))
        .map_err(|error| error.to_string())?;
    let mut life = Life {
        status: ExitStatus::default(),
        point: None,
        opened_after: None,
        survived: None,
        refusals: 0,
        poisoned: false,
        answers: 0,
    };
    let (mut unread, mut buffer, mut records) = (Vec::new(), [0; 4096], 0);
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return Ok(life),
            Ok(read) => unread.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Records that its end did not read would be a reset; it reads none.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(format!("the child hangs after {records} records"));
            }
            Err(error) => return Err(format!("the pipe: {error}")),
        }
        while let Some(record) = Record::take(&mut unread)? {
            records += 1;
            life.note(&record);
            oracle.take(&record)?;
            if let Some(shot) = shot.filter(|shot| shot.records == records) {
                std::thread::sleep(shot.pause);
                // It may have ended by itself meanwhile.
                let _ = child.kill();
            }
        }
    }
}

impl Life {
    fn note(&mut self, record: &Record) {
        use super::record::Outcome;
        match record {
            Record::Opened(operations) => self.opened_after = Some(*operations),
            Record::Killing(point) => self.point = Some(point.clone()),
            Record::Survived(operations) => self.survived = Some(*operations),
            Record::End { outcome, .. } => {
                self.answers += 1;
                if let Outcome::Refused(_, poisoned) = outcome {
                    self.refusals += 1;
                    self.poisoned |= poisoned;
                }
            }
            Record::Begin { .. } | Record::Holds { .. } | Record::Closed | Record::Failed(_) => {}
        }
    }
}
