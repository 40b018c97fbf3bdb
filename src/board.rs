//! Small snapshots between the owners of state and those who only look.
