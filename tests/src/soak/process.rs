//! The child as the supervisor sees it: a process, what it says, and what it is told.

use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use super::ChildProgram;
use super::frames::{Order, Word};

/// Words that wait for the supervisor before the child waits for it.
const WORDS_MAX: usize = 4096;

pub(super) struct Child {
    process: std::process::Child,
    words: Receiver<Result<Word, String>>,
    /// Orders go by a thread of their own, because a child that was killed reads none.
    orders: Sender<Order>,
}

impl Child {
    pub(super) fn start(program: &ChildProgram) -> Result<Self, String> {
        let mut process = Command::new(&program.path)
            .args(&program.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.path.display()))?;
        let (Some(input), Some(mut output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the child has no pipes".to_owned());
        };
        let (said, words) = sync_channel(WORDS_MAX);
        std::thread::spawn(move || {
            let mut body = Vec::new();
            loop {
                let word = Word::receive(&mut output, &mut body).map_err(|e| e.to_string());
                let Some(word) = word.transpose() else { return };
                let is_last = word.is_err();
                if said.send(word).is_err() || is_last {
                    return;
                }
            }
        });
        let (orders, given) = channel();
        std::thread::spawn(move || give(&given, input));
        Ok(Self {
            process,
            words,
            orders,
        })
    }

    pub(super) fn order(&mut self, order: Order) {
        // Its thread has ended if the child is gone; its last words say why.
        let _ = self.orders.send(order);
    }

    /// The next word; `None` if it took too long.
    ///
    /// # Errors
    /// The child is gone, and all its words were heard.
    pub(super) fn hear(&mut self, timeout: Duration) -> Result<Option<Word>, ()> {
        match self.words.recv_timeout(timeout) {
            Ok(Ok(word)) => Ok(Some(word)),
            Ok(Err(message)) => Ok(Some(Word::Violation(format!("what it says: {message}")))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    /// SIGKILL. What it has said until then is still heard.
    pub(super) fn kill(&mut self) {
        // It fails for one that has ended, which is as good.
        let _ = self.process.kill();
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// How it ended, if that was not well.
    pub(super) fn end(&mut self) -> Result<(), String> {
        let status = self.process.wait().map_err(|error| error.to_string())?;
        match status.success() {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        let _ = self.end();
    }
}

fn give(orders: &Receiver<Order>, mut input: ChildStdin) {
    for order in orders {
        if order.send(&mut input).is_err() {
            return;
        }
    }
}
