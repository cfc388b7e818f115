-- Rows without ids: where a microsecond is told by two sources and they differ, the newcomer's whole group is refused,
-- because nothing tells which of its rows are which.
with theirs as (
    select
        t.instrument,
        t.sequence / 4096 as microsecond,
        count(*) as trades
    from {table} as t
    where
        t.instrument = any(%(instruments)s) and t.space = 'ordinal'
        and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
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
