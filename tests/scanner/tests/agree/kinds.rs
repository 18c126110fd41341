//! What `pgusher::sql` should say of a parse tree of PostgreSQL's.

use pg_query::NodeEnum as Node;
use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::{
    DiscardMode, RangeVar, TransactionStmtKind as Tx, VariableSetKind, VariableSetStmt,
};
use pgusher::sql::{CopyWay, Discard, Kind, Scope, Value};

/// Fails unless the kind is what the tree says.
pub(crate) fn same(kind: &Kind<'_>, node: &Node, text: &str) {
    if let (
        Kind::Set {
            value: Value::Other(_),
            ..
        },
        Node::VariableSetStmt(set),
    ) = (kind, node)
    {
        let strange = is_obscure(text) || text.contains('_') || text.contains("0x");
        assert!(literal(set).is_none() || strange, "{kind:?} in {text:?}");
        return;
    }
    // The tree does not tell `FROM ''` from `FROM STDIN`.
    if *kind == Kind::Copy(CopyWay::Server) && (text.contains("''") || text.contains("$$")) {
        return;
    }
    let expected = expected(kind, node);
    if *kind == Kind::Unsure && may_be_unsure(node, text) {
        return;
    }
    assert_eq!(*kind, expected, "{node:?} in {text:?}");
}

/// Escapes and the places where a name cannot be told from a word: the few things that are
/// doubted though PostgreSQL accepts them.
fn may_be_unsure(node: &Node, text: &str) -> bool {
    match node {
        Node::VariableSetStmt(set) if set.kind == VariableSetKind::VarSetCurrent as i32 => true,
        Node::CreateFunctionStmt(_) => text.to_lowercase().contains("atomic"),
        _ => is_obscure(text),
    }
}

/// Unicode escapes are not decoded, nor numbers such as `1_000` and `0x1F`.
fn is_obscure(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("u&") || text.contains("\\u")
}

fn name<'a>(name: &str) -> std::borrow::Cow<'a, [u8]> {
    name.as_bytes().to_vec().into()
}

fn expected<'a>(kind: &Kind<'a>, node: &Node) -> Kind<'a> {
    match node {
        Node::TransactionStmt(tx) => match Tx::try_from(tx.kind).unwrap() {
            Tx::TransStmtBegin | Tx::TransStmtStart => Kind::Begin,
            Tx::TransStmtCommit => Kind::Commit { chain: tx.chain },
            Tx::TransStmtRollback => Kind::Rollback { chain: tx.chain },
            Tx::TransStmtSavepoint => Kind::Savepoint(name(&tx.savepoint_name)),
            Tx::TransStmtRelease => Kind::Release(name(&tx.savepoint_name)),
            Tx::TransStmtRollbackTo => Kind::RollbackTo(name(&tx.savepoint_name)),
            Tx::TransStmtPrepare => Kind::PrepareTransaction,
            Tx::TransStmtCommitPrepared => Kind::CommitPrepared,
            Tx::TransStmtRollbackPrepared => Kind::RollbackPrepared,
            Tx::Undefined => panic!("no kind"),
        },
        Node::VariableSetStmt(set) => setting(set),
        Node::ConstraintsSetStmt(_) => Kind::SetConstraints,
        Node::DiscardStmt(discard) => {
            Kind::Discard(match DiscardMode::try_from(discard.target).unwrap() {
                DiscardMode::DiscardPlans => Discard::Plans,
                DiscardMode::DiscardSequences => Discard::Sequences,
                DiscardMode::DiscardTemp => Discard::Temp,
                _ => Discard::All,
            })
        }
        Node::PrepareStmt(prepare) => Kind::Prepare(name(&prepare.name)),
        Node::ExecuteStmt(execute) => Kind::Execute(name(&execute.name)),
        Node::DeallocateStmt(one) if one.isall => Kind::DeallocateAll,
        Node::DeallocateStmt(one) => Kind::Deallocate(name(&one.name)),
        Node::DeclareCursorStmt(cursor) => Kind::Declare {
            name: name(&cursor.portalname),
            hold: cursor.options & 0x20 != 0,
        },
        Node::ClosePortalStmt(close) if close.portalname.is_empty() => Kind::CloseAll,
        Node::ClosePortalStmt(close) => Kind::Close(name(&close.portalname)),
        Node::FetchStmt(_) => Kind::Fetch,
        Node::ListenStmt(listen) => Kind::Listen(name(&listen.conditionname)),
        Node::UnlistenStmt(all) if all.conditionname.is_empty() => Kind::UnlistenAll,
        Node::UnlistenStmt(one) => Kind::Unlisten(name(&one.conditionname)),
        Node::NotifyStmt(_) => Kind::Notify,
        Node::LoadStmt(_) => Kind::Load,
        Node::LockStmt(_) => Kind::Lock,
        Node::CopyStmt(copy) => {
            let client = copy.filename.is_empty() && !copy.is_program;
            Kind::Copy(match (client, copy.is_from) {
                (true, true) => CopyWay::FromClient,
                (true, false) => CopyWay::ToClient,
                (false, _) => CopyWay::Server,
            })
        }
        Node::ExplainStmt(explain) => explained(explain),
        Node::CallStmt(_) => Kind::Call,
        Node::DoStmt(_) => Kind::Do,
        Node::CreatedbStmt(_)
        | Node::DropdbStmt(_)
        | Node::CreateTableSpaceStmt(_)
        | Node::DropTableSpaceStmt(_)
        | Node::CreateSubscriptionStmt(_)
        | Node::AlterSubscriptionStmt(_)
        | Node::DropSubscriptionStmt(_)
        | Node::AlterSystemStmt(_)
        | Node::ClusterStmt(_)
        | Node::ReindexStmt(_) => Kind::Alone,
        Node::VacuumStmt(vacuum) if vacuum.is_vacuumcmd => Kind::Alone,
        Node::IndexStmt(index) if index.concurrent => Kind::Alone,
        Node::DropStmt(drop) if drop.concurrent => Kind::Alone,
        // These are looked at no closer than by a word that must be in them.
        Node::AlterDatabaseStmt(_)
        | Node::AlterDatabaseSetStmt(_)
        | Node::AlterOwnerStmt(_)
        | Node::AlterTableStmt(_)
        | Node::RenameStmt(_)
            if *kind == Kind::Alone =>
        {
            Kind::Alone
        }
        Node::AlterTableStmt(alter) if format!("{alter:?}").contains("concurrent: true") => {
            Kind::Alone
        }
        Node::SelectStmt(_)
        | Node::CreateStmt(_)
        | Node::CreateSeqStmt(_)
        | Node::ViewStmt(_)
        | Node::CreateTableAsStmt(_)
            if makes_temp(node) =>
        {
            Kind::CreateTemp
        }
        // Taken for temporary, to be safe: what names pg_temp, and a table called `temp`.
        _ if *kind == Kind::CreateTemp && names_temp(node) => Kind::CreateTemp,
        _ => Kind::Plain,
    }
}

fn names_temp(node: &Node) -> bool {
    let tree = format!("{node:?}");
    ["pg_temp", "relname: \"temp", "\"temporary"]
        .iter()
        .any(|name| tree.contains(name))
}

fn makes_temp(node: &Node) -> bool {
    let temp = |relation: Option<&RangeVar>| {
        relation.is_some_and(|relation| {
            relation.relpersistence == "t" || relation.schemaname == "pg_temp"
        })
    };
    match node {
        // The parts of a UNION have their own; the first one's counts.
        Node::SelectStmt(select) => {
            temp(
                select
                    .into_clause
                    .as_ref()
                    .and_then(|into| into.rel.as_ref()),
            ) || select
                .larg
                .as_ref()
                .is_some_and(|left| makes_temp(&Node::SelectStmt(left.clone())))
        }
        Node::CreateStmt(create) => temp(create.relation.as_ref()),
        Node::CreateSeqStmt(create) => temp(create.sequence.as_ref()),
        Node::ViewStmt(create) => temp(create.view.as_ref()),
        Node::CreateTableAsStmt(create) => {
            temp(create.into.as_ref().and_then(|into| into.rel.as_ref()))
        }
        _ => false,
    }
}

fn explained<'a>(explain: &pg_query::protobuf::ExplainStmt) -> Kind<'a> {
    let analyze = explain.options.iter().any(
        |option| matches!(&option.node, Some(Node::DefElem(option)) if option.defname == "analyze"),
    );
    let inner = explain.query.as_ref().and_then(|query| query.node.as_ref());
    match analyze && inner.is_some_and(makes_temp) {
        true => Kind::CreateTemp,
        false => Kind::Explain { analyze },
    }
}

/// `SET` and `RESET`, with the values that are one constant.
fn setting<'a>(set: &VariableSetStmt) -> Kind<'a> {
    let scope = if set.is_local {
        Scope::Local
    } else {
        Scope::Session
    };
    let lower = set.name.to_ascii_lowercase();
    match VariableSetKind::try_from(set.kind).unwrap() {
        VariableSetKind::VarReset => Kind::Reset(name(&lower)),
        VariableSetKind::VarResetAll => Kind::ResetAll,
        VariableSetKind::VarSetMulti if set.name == "SESSION CHARACTERISTICS" => {
            Kind::SetCharacteristics
        }
        VariableSetKind::VarSetMulti => Kind::SetTransaction,
        VariableSetKind::VarSetDefault => Kind::Set {
            scope,
            name: name(&lower),
            value: Value::Default,
        },
        _ => Kind::Set {
            scope,
            name: name(&lower),
            value: literal(set).map_or(Value::Other(b"?"), |text| Value::Literal(text.into())),
        },
    }
}

/// The text of a single constant, as PostgreSQL hands it to the setting.
fn literal(set: &VariableSetStmt) -> Option<Vec<u8>> {
    let [argument] = set.args.as_slice() else {
        return None;
    };
    match argument.node.as_ref()? {
        Node::AConst(constant) => Some(match constant.val.as_ref()? {
            Val::Ival(number) => number.ival.to_string().into_bytes(),
            Val::Fval(number) => number.fval.clone().into_bytes(),
            Val::Sval(text) => text.sval.clone().into_bytes(),
            _ => return None,
        }),
        _ => None,
    }
}
