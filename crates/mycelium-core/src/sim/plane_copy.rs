//! A plane without its ghosts, for readers that want its cells in one piece.

use std::cell::{OnceCell, RefCell};

/// A copy that is made when it is first asked for after a change of the plane.
#[derive(Debug)]
pub(super) struct PlaneCopy<T> {
    current: OnceCell<Vec<T>>,
    /// Memory of the last copy while there is no current one.
    spare: RefCell<Vec<T>>,
}

impl<T: Copy> PlaneCopy<T> {
    /// Memory for `len` cells like `cell`.
    pub(super) fn new(len: usize, cell: T) -> Self {
        Self { current: OnceCell::new(), spare: RefCell::new(vec![cell; len]) }
    }

    /// The copy; `copy` fills the memory that it is given if there is none yet.
    pub(super) fn get(&self, copy: impl FnOnce(&mut Vec<T>)) -> &[T] {
        self.current.get_or_init(|| {
            let mut cells = self.spare.take();
            cells.clear();
            copy(&mut cells);
            cells
        })
    }

    /// The plane has changed.
    #[inline(always)]
    pub(super) fn discard(&mut self) {
        if let Some(cells) = self.current.take() {
            *self.spare.get_mut() = cells;
        }
    }
}

impl<T: Copy> Clone for PlaneCopy<T> {
    /// Without the copy but with as much memory: a clone does not allocate later what the original does not.
    fn clone(&self) -> Self {
        let spare = self.spare.borrow();
        let memory = Vec::with_capacity(self.current.get().unwrap_or(&spare).capacity());
        Self { current: OnceCell::new(), spare: RefCell::new(memory) }
    }
}
