//! placeholder
use super::front::Front;
use super::socket::Socket;
use std::rc::Rc;
pub async fn run(_front: Rc<Front>, _socket: Socket, _live: bool) {}
