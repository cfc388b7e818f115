-- The log of retention of a window of time, the last entry first.
select
    l.entry_id,
    l.at,
    l.action,
    l.relation,
    l.partition_start,
    l.is_dry_run,
    l.row_count,
    l.size_bytes,
    l.proof_id,
    to_json(l.reasons) as reasons,
    l.detail,
    l.environment,
    l.by_whom,
    l.run_id
from retention_log as l
where
    (%(since)s::timestamptz is null or l.at >= %(since)s) and (%(until)s::timestamptz is null or l.at < %(until)s)
    and (%(instrument)s::text is null)
order by l.entry_id desc;
