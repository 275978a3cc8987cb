//! Asks a DNS server for one name, with a new socket for every question, until its standard input
//! ends; then says how many answers came and how many did not.
//!
//! It speaks the few bytes of the protocol itself: a resolver library would hide a lost answer
//! behind a second question.

use std::io::Read as _;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long an answer may take: a resolver of the C library waits as long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

fn main() -> std::process::ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(name)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: dns-prober ADDRESS:PORT NAME");
        return std::process::ExitCode::from(2);
    };
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    std::thread::spawn(move || {
        let mut rest = Vec::new();
        // Whatever ends the input, also an error, ends the questions.
        std::io::stdin().read_to_end(&mut rest).ok();
        told.store(true, Ordering::Release);
    });
    let (mut answered, mut failed) = (0_u32, 0_u32);
    let mut number = 0_u16;
    while !over.load(Ordering::Acquire) {
        number = number.wrapping_add(1);
        match ask(&server, &name, number) {
            Ok(()) => answered += 1,
            Err(why) => {
                failed += 1;
                eprintln!("question {number}: {why}");
            }
        }
        std::thread::sleep(PAUSE);
    }
    #[expect(clippy::print_stdout, reason = "this program answers on its standard output")]
    {
        println!("{answered} answered, {failed} failed");
    }
    std::process::ExitCode::SUCCESS
}

fn ask(server: &str, name: &str, number: u16) -> Result<(), String> {
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(|e| e.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(|e| e.to_string())?;
    socket.connect(server).map_err(|e| e.to_string())?;
    socket.send(&question(name, number)).map_err(|e| e.to_string())?;
    let mut answer = [0_u8; 512];
    let length = socket.recv(&mut answer).map_err(|e| e.to_string())?;
    let answer = &answer[..length];
    let field = |at: usize| answer.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]));
    match (field(0), field(2), field(6)) {
        (Some(of), _, _) if of != number => Err(format!("an answer to question {of}")),
        // The lowest four bits of the flags are the code; the count of answers follows.
        (_, Some(flags), Some(count)) if flags & 0xf == 0 && count > 0 => Ok(()),
        (_, Some(flags), _) => Err(format!("code {}", flags & 0xf)),
        _ => Err("a short answer".to_owned()),
    }
}

/// A question for the address of a name: header, labels, type A, class IN.
fn question(name: &str, number: u16) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|l| !l.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or(63));
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}
