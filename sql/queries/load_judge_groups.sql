-- Rows without ids: where a microsecond is told by two sources and they differ, the newcomer's whole group is refused,
-- because nothing tells which of its rows are which. What was cancelled belongs to its group.
with told as (
    select
        t.instrument,
        t.sequence
    from {table} as t
    where
        t.instrument = any(%(instruments)s) and t.space = 'ordinal'
        and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    union all
    select
        r.instrument,
        r.sequence
    from {revisions} as r
    where
        r.instrument = any(%(instruments)s) and r.space = 'ordinal' and r.kind = 'cancellation'
        and r.event_time >= %(from_time)s and r.event_time < %(to_time)s
        and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = r.ended_by_batch_id)
),

theirs as (
    select
        t.instrument,
        t.sequence / 4096 as microsecond,
        count(*) as trades
    from told as t
    group by t.instrument, t.sequence / 4096
),

ours as (
    select
        j.instrument,
        j.sequence / 4096 as microsecond,
        count(*) as trades,
        bool_and(j.verdict = 'duplicate') as all_known
    from judged as j
    group by j.instrument, j.sequence / 4096
),

differing as (
    select
        ours.instrument,
        ours.microsecond,
        ours.trades as our_trades,
        theirs.trades as their_trades
    from ours
    inner join theirs on ours.instrument = theirs.instrument and ours.microsecond = theirs.microsecond
    where not ours.all_known or ours.trades <> theirs.trades
)

update judged as j
set verdict = 'group_conflict'
from differing as d
where j.instrument = d.instrument and j.sequence / 4096 = d.microsecond;
