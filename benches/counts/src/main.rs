//! Runs each hot path of the core a fixed number of times inside [`measured`], which is the only
//! function that `benches/counts.py` lets callgrind count, and says which one it ran.
//!
//! What happens here must be the same in each run: no clock, no thread, no input from outside.

mod desk;
mod memory;
mod pool;
mod session;
mod wire;

#[global_allocator]
static MEMORY: memory::Bump = memory::Bump::new();

/// Runs of an operation that are counted. Whatever happens only now and then (a queue that
/// grows, a hash that collides) is spread over them.
const RUNS: u32 = 200;

/// Runs before it counts, so that buffers have their size and tables their entries.
const WARM_UP: u32 = 20;

fn main() {
    println!("runs {RUNS}");
    wire::operations();
    session::operations();
    pool::operations();
}

/// Has one operation counted.
fn count(name: &str, mut operation: impl FnMut()) {
    for _ in 0..WARM_UP {
        operation();
    }
    let before = MEMORY.asked();
    measured(&mut || {
        for _ in 0..RUNS {
            operation();
        }
    });
    let allocations = MEMORY.asked() - before;
    println!("{allocations} {name}");
}

/// The name that callgrind looks for.
#[inline(never)]
fn measured(operation: &mut dyn FnMut()) {
    operation();
    // Something is left to do here: a call that ends a function becomes a jump, and a jump is
    // nothing that returns.
    std::hint::black_box(());
}
