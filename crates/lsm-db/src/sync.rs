//! A line around `std::sync::Mutex`: a lock whose holder panicked is taken all the same.
//!
//! What a panic leaves half done is dealt with where the panic is caught (the store is poisoned),
//! not by every later lock.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

pub(crate) fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` while the lock is held.
pub(crate) fn locked_if_free<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
