//! The trace of a process as `strace -f -y` writes it, read strictly.
//!
//! Called by [`system_calls`](super::system_calls) and the judge. A line that is not understood is
//! an error, never skipped: what is not understood could be the very call that breaks a promise.
//! Knows nothing of stores; what the calls mean is the [`judge`]'s.

mod files;
pub mod judge;
pub mod meaning;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments as they are written.
    pub arguments: Vec<String>,
}

/// What came of it: the number that was returned, or the error's name.
pub type Outcome = Result<u64, String>;

/// A moment of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The line of the trace, counted from 1.
    pub line: usize,
    /// Which thread.
    pub thread: u32,
    /// The call.
    pub call: Call,
    /// `None` when the call begins; what came of it when it has ended.
    pub outcome: Option<Outcome>,
}

/// Reads a trace. Each call is there twice: where it begins, and, if it ended, where it ended.
///
/// # Errors
/// The first line that is not understood.
pub fn read(text: &str) -> Result<Vec<Event>, String> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        reader
            .line(number, line)
            .map_err(|error| format!("line {number}: {error}: {}", shown(line)))?;
    }
    Ok(reader.events)
}

fn shown(line: &str) -> String {
    line.chars().take(300).collect()
}

/// What `strace` writes of a thread that was gone before it was seen in any call.
const UNSEEN: &str = "???( <detached ...>";

#[derive(Default)]
struct Reader {
    events: Vec<Event>,
    /// Calls that have begun and not ended, by thread.
    unfinished: HashMap<u32, Call>,
}

impl Reader {
    fn line(&mut self, line: usize, text: &str) -> Result<(), String> {
        let (thread, rest) = text.split_once(' ').ok_or("no thread")?;
        let thread = thread.parse().map_err(|_| "no thread")?;
        let rest = rest.trim_start();
        if rest.starts_with("+++ ") || rest.starts_with("--- ") {
            return match rest.ends_with(" +++") || rest.ends_with(" ---") {
                true => Ok(()),
                false => Err("half a line".to_owned()),
            };
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            return self.resume(line, thread, resumed);
        }
        if rest == UNSEEN {
            return Ok(());
        }
        if self.unfinished.contains_key(&thread) {
            return Err("a thread in two calls".to_owned());
        }
        let (name, rest) = rest.split_once('(').ok_or("no call")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err("no call".to_owned());
        }
        let call = |arguments: &str| -> Result<Call, String> {
            Ok(Call {
                name: name.to_owned(),
                arguments: split_arguments(arguments)?,
            })
        };
        if let Some(arguments) = rest.strip_suffix(" <unfinished ...>") {
            let call = call(arguments)?;
            self.push(line, thread, call.clone(), None);
            self.unfinished.insert(thread, call);
            return Ok(());
        }
        let (arguments, outcome) = split_outcome(rest)?;
        let call = call(arguments)?;
        self.push(line, thread, call.clone(), None);
        if let Some(outcome) = outcome {
            self.push(line, thread, call, Some(outcome));
        }
        Ok(())
    }

    fn resume(&mut self, line: usize, thread: u32, rest: &str) -> Result<(), String> {
        let (name, rest) = rest.split_once(" resumed>").ok_or("no call")?;
        let call = self.unfinished.remove(&thread);
        let call = call.filter(|call| call.name == name);
        let mut call = call.ok_or("the end of a call that did not begin")?;
        let (arguments, outcome) = split_outcome(rest)?;
        let more = arguments.trim_start_matches(", ");
        if !more.is_empty() {
            call.arguments.extend(split_arguments(more)?);
        }
        if let Some(outcome) = outcome {
            self.push(line, thread, call, Some(outcome));
        }
        Ok(())
    }

    fn push(&mut self, line: usize, thread: u32, call: Call, outcome: Option<Outcome>) {
        self.events.push(Event {
            line,
            thread,
            call,
            outcome,
        });
    }
}

/// What stands before the last `) = `, and what behind it; `None` for a call that never returned.
fn split_outcome(text: &str) -> Result<(&str, Option<Outcome>), String> {
    // strace pads with spaces between the parenthesis and the sign.
    let at = text.rfind(" = ").ok_or("no outcome")?;
    let (before, after) = (text.get(..at), text.get(at + 3..));
    let (before, after) = before.zip(after).ok_or("no outcome")?;
    let arguments = before.trim_end().strip_suffix(')').ok_or("no outcome")?;
    let word = after.split([' ', '<']).next().unwrap_or_default();
    let outcome = match word {
        "?" => None,
        "-1" => {
            let error = after.split(' ').nth(1).ok_or("an error without a name")?;
            Some(Err(error.to_owned()))
        }
        hexadecimal if hexadecimal.starts_with("0x") => {
            let digits = hexadecimal.trim_start_matches("0x");
            let value = u64::from_str_radix(digits, 16).map_err(|_| "a strange outcome")?;
            Some(Ok(value))
        }
        decimal => Some(Ok(decimal.parse().map_err(|_| "a strange outcome")?)),
    };
    Ok((arguments, outcome))
}

/// Splits at the commas that are not within quotes or brackets.
fn split_arguments(text: &str) -> Result<Vec<String>, String> {
    let mut arguments = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    let mut quoted = false;
    let mut bytes = text.bytes().enumerate();
    let mut previous = 0;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' if quoted => {
                bytes.next();
            }
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b'>' if previous == b'=' || previous == b'-' => {}
            b')' | b']' | b'}' | b'>' => {
                depth = depth.checked_sub(1).ok_or("brackets that do not match")?;
            }
            b',' if depth == 0 => {
                arguments.push(text.get(start..at).unwrap_or_default().trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
        previous = byte;
    }
    if quoted || depth != 0 {
        return Err("quotes or brackets that do not match".to_owned());
    }
    let last = text.get(start..).unwrap_or_default().trim();
    if !last.is_empty() {
        arguments.push(last.to_owned());
    }
    Ok(arguments)
}

/// The path of a file descriptor: of `5</db/MANIFEST>`. A file without a name has its last one.
pub fn path_of_descriptor(argument: &str) -> Option<&str> {
    let (_, path) = argument.split_once('<')?;
    let path = path.strip_suffix("(deleted)").unwrap_or(path);
    let path = path.strip_suffix('>')?;
    Some(path.strip_suffix(" (deleted)").unwrap_or(path))
}

/// The bytes of a quoted string.
///
/// # Errors
/// If it was cut short, or holds an escape that is not understood.
pub fn unquoted(argument: &str) -> Result<Vec<u8>, String> {
    let body = argument
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or("a string that was cut short, or none")?;
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest.next().ok_or("half an escape")?;
        bytes.push(match escaped {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 11,
            b'f' => 12,
            b'"' | b'\\' => escaped,
            b'0'..=b'7' => {
                let mut value = u32::from(escaped - b'0');
                for _ in 0..2 {
                    let digit = rest.next_if(|next| (b'0'..=b'7').contains(next));
                    let Some(digit) = digit else { break };
                    value = value * 8 + u32::from(digit - b'0');
                }
                u8::try_from(value).map_err(|_| "a strange escape")?
            }
            _ => return Err("a strange escape".to_owned()),
        });
    }
    Ok(bytes)
}
