//! What kind of statement something is, as far as a pooler must know.

use std::{borrow::Cow, ops::Range};

use super::{
    cursor::Cursor,
    decode,
    lexer::{Dialect, TokenKind},
    set,
};

/// A name as PostgreSQL keeps it: folded, without its quotes, at most 63 bytes long.
pub type Name<'a> = Cow<'a, [u8]>;

/// The kind of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `BEGIN`, `START TRANSACTION`, with whatever modes.
    Begin,
    /// `COMMIT`, `END`.
    Commit {
        /// `AND CHAIN`: the next transaction begins at once (T11).
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `SAVEPOINT name`
    Savepoint(Name<'a>),
    /// `RELEASE [SAVEPOINT] name`
    Release(Name<'a>),
    /// `ROLLBACK TO [SAVEPOINT] name`
    RollbackTo(Name<'a>),
    /// `PREPARE TRANSACTION 'id'`
    PrepareTransaction,
    /// `COMMIT PREPARED 'id'`
    CommitPrepared,
    /// `ROLLBACK PREPARED 'id'`
    RollbackPrepared,
    /// A setting is set, in whatever spelling: `SET TIME ZONE` sets `timezone`, `SET NAMES`
    /// `client_encoding`, `SET SCHEMA` `search_path`, `SET ROLE` `role`,
    /// `SET SESSION AUTHORIZATION` `session_authorization`, `SET XML OPTION` `xmloption`.
    Set {
        /// For how long.
        scope: Scope,
        /// Which, in small letters: names of settings have no case.
        name: Name<'a>,
        /// To what.
        value: Value<'a>,
    },
    /// `RESET name`, in whatever spelling.
    Reset(Name<'a>),
    /// `RESET ALL`
    ResetAll,
    /// `SET TRANSACTION …`: isolation level, access mode, snapshot.
    SetTransaction,
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION …`: sets `default_transaction_…`.
    SetCharacteristics,
    /// `SET CONSTRAINTS …`
    SetConstraints,
    /// `DISCARD …`
    Discard(Discard),
    /// `PREPARE name AS …`
    Prepare(Name<'a>),
    /// `EXECUTE name`
    Execute(Name<'a>),
    /// `DEALLOCATE name`
    Deallocate(Name<'a>),
    /// `DEALLOCATE ALL`
    DeallocateAll,
    /// `DECLARE name CURSOR`
    Declare {
        /// Which.
        name: Name<'a>,
        /// `WITH HOLD`: it outlives the transaction.
        hold: bool,
    },
    /// `CLOSE name`
    Close(Name<'a>),
    /// `CLOSE ALL`
    CloseAll,
    /// `FETCH`, `MOVE`
    Fetch,
    /// `LISTEN channel`
    Listen(Name<'a>),
    /// `UNLISTEN channel`
    Unlisten(Name<'a>),
    /// `UNLISTEN *`
    UnlistenAll,
    /// `NOTIFY`
    Notify,
    /// `LOAD 'library'`
    Load,
    /// `LOCK TABLE`
    Lock,
    /// `COPY`
    Copy(CopyWay),
    /// `EXPLAIN`
    Explain {
        /// `ANALYZE`: the statement runs.
        analyze: bool,
    },
    /// `CALL`: a procedure, which may commit.
    Call,
    /// `DO`: a block, which may commit.
    Do,
    /// What refuses a transaction block, or may: `VACUUM`, `CREATE DATABASE`,
    /// `CREATE INDEX CONCURRENTLY`, `REINDEX` (of what is partitioned) and the like.
    Alone,
    /// What leaves a temporary table, view, sequence or anything else in `pg_temp`.
    CreateTemp,
    /// Everything else that PostgreSQL knows: queries, changes, definitions, `SHOW`.
    Plain,
    /// A statement that is not known, or not certainly read rightly.
    Unsure,
}

/// For how long a setting is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `SET`, `SET SESSION`
    Session,
    /// `SET LOCAL`
    Local,
}

/// To what a setting is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `DEFAULT` and the likes: as `RESET`, within the scope.
    Default,
    /// One string, word or number: its text. For a setting that is a list of names, such as
    /// `search_path`, it is *one* name, commas included.
    Literal(Cow<'a, [u8]>),
    /// Lists, intervals and whatever else: as it stands in the text.
    Other(&'a [u8]),
}

/// What is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Everything; refuses a transaction block.
    All,
    /// Cached plans.
    Plans,
    /// What `currval` and `lastval` know.
    Sequences,
    /// Temporary tables.
    Temp,
}

/// Where a `COPY` gets or puts its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyWay {
    /// From the client.
    FromClient,
    /// To the client.
    ToClient,
    /// A file or a program of the server.
    Server,
}

impl Kind<'_> {
    /// Does it begin, end or divide transactions?
    pub fn is_transaction_control(&self) -> bool {
        matches!(
            self,
            Self::Begin
                | Self::Commit { .. }
                | Self::Rollback { .. }
                | Self::Savepoint(_)
                | Self::Release(_)
                | Self::RollbackTo(_)
                | Self::PrepareTransaction
                | Self::CommitPrepared
                | Self::RollbackPrepared
        )
    }

    /// Does it end the transaction it runs in?
    pub fn ends_transaction(&self) -> bool {
        matches!(
            self,
            Self::Commit { .. } | Self::Rollback { .. } | Self::PrepareTransaction
        )
    }

    /// Does it refuse to run in a transaction block, or may it (T8)?
    pub fn refuses_block(&self) -> bool {
        matches!(
            self,
            Self::Alone
                | Self::Discard(Discard::All)
                | Self::CommitPrepared
                | Self::RollbackPrepared
        )
    }

    /// Does PostgreSQL answer it differently inside a transaction block, implicit ones
    /// included (T18)? Measured on 15 and 18; see the table in `tests/sql.rs`.
    pub fn shows_block(&self) -> bool {
        match self {
            // A warning before 17, an error since.
            Self::Reset(name) => **name == *b"transaction_isolation",
            _ => matches!(
                self,
                Self::Lock
                    | Self::Declare { hold: false, .. }
                    | Self::Set {
                        scope: Scope::Local,
                        ..
                    }
                    | Self::SetTransaction
                    | Self::SetConstraints
                    | Self::PrepareTransaction
            ),
        }
    }

    /// May it commit inside, so that what was set for its transaction only is lost (T9)?
    pub fn may_commit_inside(&self) -> bool {
        matches!(self, Self::Call | Self::Do)
    }
}

/// The kind of a statement that is none of the common ones. `temp` says that it names `pg_temp`,
/// or selects into a temporary table.
pub(super) fn kind(mut cursor: Cursor<'_>, temp: bool) -> Kind<'_> {
    let mut buffer = [0; 16];
    let word = decode::keyword(cursor.bytes(), &mut buffer);
    cursor.advance();
    let known = match word {
        b"begin" => Some(Kind::Begin),
        b"start" => cursor.at(b"transaction").then_some(Kind::Begin),
        b"commit" | b"end" => commit(cursor),
        b"rollback" | b"abort" => rollback(cursor),
        b"savepoint" => cursor.last_name().map(Kind::Savepoint),
        b"release" => savepoint_name(cursor).map(Kind::Release),
        b"set" => set::set(cursor),
        b"reset" => set::reset(cursor),
        b"discard" => discard(cursor),
        b"prepare" => prepare(cursor),
        b"execute" => cursor.name().map(Kind::Execute),
        b"deallocate" => deallocate(cursor),
        b"declare" => declare(cursor),
        b"close" if cursor.at(b"all") => Some(Kind::CloseAll),
        b"close" => cursor.last_name().map(Kind::Close),
        b"fetch" | b"move" => Some(Kind::Fetch),
        b"listen" => cursor.last_name().map(Kind::Listen),
        b"unlisten" if cursor.at_operator(b"*") => Some(Kind::UnlistenAll),
        b"unlisten" => cursor.last_name().map(Kind::Unlisten),
        b"notify" => Some(Kind::Notify),
        b"load" => Some(Kind::Load),
        b"lock" => Some(Kind::Lock),
        b"copy" => copy(cursor),
        b"explain" => Some(explain(cursor, temp)),
        b"call" => Some(Kind::Call),
        b"do" => Some(Kind::Do),
        b"vacuum" | b"cluster" | b"reindex" | b"repack" => Some(Kind::Alone),
        b"create" => Some(create(cursor, temp)),
        b"drop" => Some(drop(cursor)),
        b"alter" => Some(alter(cursor)),
        b"analyze" | b"analyse" | b"checkpoint" | b"comment" | b"grant" | b"import"
        | b"reassign" | b"refresh" | b"revoke" | b"security" | b"show" | b"truncate" => {
            Some(Kind::Plain)
        }
        _ => None,
    };
    known.unwrap_or(Kind::Unsure)
}

/// `[WORK | TRANSACTION] [AND [NO] CHAIN]` up to the end: does it chain?
fn chain(cursor: &mut Cursor<'_>) -> Option<bool> {
    cursor.eat_any(&[b"work", b"transaction"]);
    let mut chain = false;
    if cursor.eat(b"and") {
        chain = !cursor.eat(b"no");
        if !cursor.eat(b"chain") {
            return None;
        }
    }
    cursor.done().then_some(chain)
}

fn commit(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    if cursor.at(b"prepared") {
        return Some(Kind::CommitPrepared);
    }
    let chain = chain(&mut cursor)?;
    Some(Kind::Commit { chain })
}

fn rollback(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    if cursor.at(b"prepared") {
        return Some(Kind::RollbackPrepared);
    }
    let mut behind = cursor.clone();
    behind.eat_any(&[b"work", b"transaction"]);
    if behind.eat(b"to") {
        return savepoint_name(behind).map(Kind::RollbackTo);
    }
    let chain = chain(&mut cursor)?;
    Some(Kind::Rollback { chain })
}

/// `[SAVEPOINT] name`, where the name may be `savepoint`.
fn savepoint_name(mut cursor: Cursor<'_>) -> Option<Name<'_>> {
    let whole = cursor.clone();
    if cursor.eat(b"savepoint") && !cursor.done() {
        return cursor.last_name();
    }
    whole.last_name()
}

fn discard(cursor: Cursor<'_>) -> Option<Kind<'_>> {
    let what = match decode::keyword(cursor.bytes(), &mut [0; 16]) {
        b"all" => Discard::All,
        b"plans" => Discard::Plans,
        b"sequences" => Discard::Sequences,
        b"temp" | b"temporary" => Discard::Temp,
        _ => return None,
    };
    Some(Kind::Discard(what))
}

/// `PREPARE TRANSACTION 'id'`, or a statement, whose name may be `transaction`.
fn prepare(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    let transaction = cursor.at(b"transaction");
    let name = cursor.name()?;
    if transaction && cursor.at_string() {
        return Some(Kind::PrepareTransaction);
    }
    Some(Kind::Prepare(name))
}

/// `DEALLOCATE [PREPARE] name | ALL`, where the name may be `prepare`.
fn deallocate(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    let whole = cursor.clone();
    if !cursor.eat(b"prepare") || cursor.done() {
        cursor = whole;
    }
    if cursor.at(b"all") {
        return Some(Kind::DeallocateAll);
    }
    cursor.last_name().map(Kind::Deallocate)
}

/// A prepared statement that another statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamesPrepared<'a> {
    /// Which.
    pub name: Name<'a>,
    /// Where the name stands.
    pub range: Range<usize>,
    /// It is given up.
    pub gives_up: bool,
}

/// The prepared statement that `EXECUTE`, `EXPLAIN EXECUTE`, `CREATE TABLE AS EXECUTE` or
/// `DEALLOCATE` names.
pub fn names_prepared(statement: &[u8], dialect: Dialect) -> Option<NamesPrepared<'_>> {
    let mut cursor = Cursor::new(statement, dialect);
    let gives_up = cursor.eat(b"deallocate");
    if gives_up {
        let whole = cursor.clone();
        if !cursor.eat(b"prepare") || cursor.done() || cursor.kind() == TokenKind::Semicolon {
            cursor = whole;
        }
        if cursor.at(b"all") {
            return None;
        }
    } else {
        if cursor.at_any(&[b"explain", b"create"]) {
            while !cursor.done() && !cursor.at(b"execute") {
                cursor.advance();
            }
        }
        if !cursor.eat(b"execute") {
            return None;
        }
    }
    let range = cursor.range();
    let name = cursor.name()?;
    Some(NamesPrepared {
        name,
        range,
        gives_up,
    })
}

fn declare(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    let name = cursor.name()?;
    while cursor.eat_any(&[b"binary", b"insensitive", b"asensitive", b"scroll", b"no"]) {}
    if !cursor.eat(b"cursor") {
        return None;
    }
    let hold = cursor.eat(b"with");
    Some(Kind::Declare { name, hold })
}

/// The way stands outside of parentheses: `COPY t (c) FROM STDIN`, `COPY (SELECT …) TO STDOUT`.
/// PostgreSQL takes `STDIN` and `STDOUT` for each other.
fn copy(mut cursor: Cursor<'_>) -> Option<Kind<'_>> {
    loop {
        let from = cursor.at(b"from");
        match cursor.kind() {
            TokenKind::Open => cursor.skip_parentheses(),
            TokenKind::End => return None,
            _ if from || cursor.at(b"to") => {
                cursor.advance();
                let client = cursor.at_any(&[b"stdin", b"stdout"]);
                return Some(Kind::Copy(match (client, from) {
                    (true, true) => CopyWay::FromClient,
                    (true, false) => CopyWay::ToClient,
                    (false, _) => CopyWay::Server,
                }));
            }
            _ => cursor.advance(),
        }
    }
}

/// `EXPLAIN ANALYZE` does what the statement does: it can leave a temporary table behind.
fn explain(mut cursor: Cursor<'_>, temp: bool) -> Kind<'_> {
    let mut analyze = false;
    if cursor.kind() == TokenKind::Open {
        let mut inside = cursor.clone();
        cursor.skip_parentheses();
        while inside.range().start < cursor.range().start {
            analyze |= inside.at_any(&[b"analyze", b"analyse"]);
            inside.advance();
        }
    } else {
        analyze = cursor.eat_any(&[b"analyze", b"analyse"]);
        cursor.eat(b"verbose");
    }
    let creates = cursor.eat(b"create") && create(cursor, temp) == Kind::CreateTemp;
    match analyze && (creates || temp) {
        true => Kind::CreateTemp,
        false => Kind::Explain { analyze },
    }
}

fn create(mut cursor: Cursor<'_>, temp: bool) -> Kind<'_> {
    if cursor.eat(b"or") {
        cursor.eat(b"replace");
    }
    cursor.eat_any(&[b"local", b"global"]);
    if temp || cursor.at_any(&[b"temp", b"temporary"]) {
        return Kind::CreateTemp;
    }
    cursor.eat(b"unique");
    if cursor.at_any(&[b"database", b"tablespace", b"subscription"])
        || cursor.eat(b"index") && cursor.at(b"concurrently")
    {
        return Kind::Alone;
    }
    Kind::Plain
}

fn drop(mut cursor: Cursor<'_>) -> Kind<'_> {
    if cursor.at_any(&[b"database", b"tablespace", b"subscription"])
        || cursor.eat(b"index") && cursor.at(b"concurrently")
    {
        return Kind::Alone;
    }
    Kind::Plain
}

fn alter(mut cursor: Cursor<'_>) -> Kind<'_> {
    // ALTER DATABASE … SET TABLESPACE, ALTER TABLE … DETACH PARTITION … CONCURRENTLY
    let sign: &[u8] = match () {
        () if cursor.at_any(&[b"system", b"subscription"]) => return Kind::Alone,
        () if cursor.eat(b"database") => b"tablespace",
        () if cursor.eat(b"table") => b"concurrently",
        () => return Kind::Plain,
    };
    while !cursor.done() {
        if cursor.eat(sign) {
            return Kind::Alone;
        }
        cursor.advance();
    }
    Kind::Plain
}
