//! What limits and fairness cost, by the clock: a transaction of one of many tenants is admitted,
//! gets a server connection, gives it back and is settled. Instructions would not tell: with many
//! tenants it is memory that is waited for.
//!
//!     cargo run --release --manifest-path benches/counts/Cargo.toml --bin tenants

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use pgusher::{
    limit::{Account, Accounts, Admission, Cost, Rate, Rules, Tier},
    pool::{Asked, Database, Given, Party, PoolId, PoolSizes, Work},
    tenant::{Format, TenantId},
};

const TRANSACTIONS: u32 = 2_000_000;
const SERVERS: u32 = 20;

fn main() {
    println!("tenants, nanoseconds per transaction: with limits, pool and all");
    for tenants in [1, 100, 10_000, 100_000] {
        let accounts = Accounts::new(rules());
        let known: Vec<Arc<Account>> = (0..tenants).map(|nth| open(&accounts, nth)).collect();
        // Whatever else runs on the machine only ever adds to it.
        let best = (0..5).map(|_| nanoseconds(&known)).fold(f64::MAX, f64::min);
        println!("{tenants:>9} {best:>6.0}");
    }
}

fn rules() -> Rules {
    let limits = Tier {
        transactions: Some(Rate::new(1_000_000_000, 1_000_000_000)),
        server_time: Some(Rate::new(1_000_000_000_000, 1_000_000_000_000)),
        bytes: Some(Rate::new(1_000_000_000_000, 1_000_000_000_000)),
        ..Tier::default()
    };
    Rules {
        default: Arc::new(limits),
        ..Rules::default()
    }
}

fn open(accounts: &Accounts, nth: u32) -> Arc<Account> {
    let id: Option<TenantId> = Format::Text.id(format!("tenant-{nth}").as_bytes()).ok();
    let account = id.and_then(|id| accounts.of_tenant(&id).ok());
    account.unwrap_or_else(|| unreachable!("there is room, and it is an id"))
}

/// By the clock, for tenants in no order.
fn nanoseconds(known: &[Arc<Account>]) -> f64 {
    let (mut books, pool) = pool();
    let mut at = 0;
    let began = Instant::now();
    for nth in 0..TRANSACTIONS {
        at = (at + 7_919_u32 as usize * 31) % known.len();
        // Slower than the clock goes, so that it never goes back from one run to the next.
        let now = began + Duration::from_nanos(100 * u64::from(nth));
        transaction(&known[at], &mut books, pool, now);
        // As often as the program does it.
        if nth % 100_000 == 0 {
            books.tick(None, now);
        }
    }
    began.elapsed().as_nanos() as f64 / f64::from(TRANSACTIONS)
}

fn transaction(account: &Account, books: &mut Database<u32, u32>, pool: PoolId, now: Instant) {
    assert_eq!(account.admit(None, now), Admission::Now);
    let party = Party {
        number: account.number(),
        share: account.share(),
    };
    let Asked::Granted(server) = books.ask(pool, &party, 0, now) else {
        unreachable!("a server is idle");
    };
    let given = books.give_back(pool, party.number, black_box(server), 0, None, now);
    assert_eq!(given, Given::Kept);
    let cost = Cost {
        transactions: 1,
        server_time: Duration::from_micros(1),
        bytes: 100,
        ..Cost::default()
    };
    account.settle(cost, now);
}

fn pool() -> (Database<u32, u32>, PoolId) {
    let mut books = Database::new("shop", 2, None, None, None);
    let sizes = PoolSizes {
        pool_size: SERVERS as usize,
        min_pool_size: SERVERS as usize,
        reserve_pool_size: 0,
        reserve_pool_timeout: Duration::from_secs(5),
        max_waiting: 10_000,
        max_connecting: SERVERS as usize,
        spare_servers: 4,
        fair: true,
        adaptive: false,
    };
    let Ok(pool) = books.join("app", || sizes) else {
        unreachable!("there is no limit");
    };
    let now = Instant::now();
    for (work, server) in books.work(now).iter().zip(0..) {
        assert_eq!(work, &Work::Open(pool));
        assert_eq!(books.opened(pool, server, 0, None, now), Given::Kept);
    }
    (books, pool)
}
