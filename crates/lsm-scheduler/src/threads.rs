//! Lanes on threads: one thread each, fed by a channel, with its delayed tasks beside it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{Builder, JoinHandle};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, unbounded};

use crate::Scheduler;
use crate::lane::{self, LaneQueue, Task};

pub(crate) enum Message {
    Run(Task),
    RunAt(std::time::Duration, Task),
    Stop,
}

/// Starts one thread; it ends at the first [`Message::Stop`], after what came before it.
pub(crate) fn start(
    scheduler: &Scheduler,
    name: String,
    panics: &Arc<AtomicU64>,
) -> io::Result<(Sender<Message>, JoinHandle<()>)> {
    let (sender, receiver) = unbounded();
    let (scheduler, panics) = (scheduler.clone(), Arc::clone(panics));
    let thread = Builder::new()
        .name(name)
        .spawn(move || work(&scheduler, &receiver, &panics))?;
    Ok((sender, thread))
}

fn work(scheduler: &Scheduler, receiver: &Receiver<Message>, panics: &AtomicU64) {
    let mut queue = LaneQueue::default();
    loop {
        // What has arrived goes first into the queue, so that order is that of submission.
        loop {
            match receiver.try_recv() {
                Ok(Message::Run(task)) => queue.push(task, None),
                Ok(Message::RunAt(due, task)) => queue.push(task, Some(due)),
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => {
                    drop(queue.drop_delayed());
                    while let Some(task) = queue.pop(scheduler.now()) {
                        lane::run(task, panics);
                    }
                    return;
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        if let Some(task) = queue.pop(scheduler.now()) {
            lane::run(task, panics);
            continue;
        }
        let received = match queue.next_due() {
            Some(due) => receiver.recv_timeout(due.saturating_sub(scheduler.now())),
            None => receiver.recv().map_err(RecvTimeoutError::from),
        };
        match received {
            Ok(Message::Run(task)) => queue.push(task, None),
            Ok(Message::RunAt(due, task)) => queue.push(task, Some(due)),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
