-- Judges each incoming row against the rows stored from %(from_time)s to %(to_time)s and against what was replaced or cancelled on the
-- day and those beside it (the same id months later is another trade): new, duplicate, finer (the same trade told more precisely),
-- conflict (same identity, other values).
-- Rows that are stored just so are left out unless %(keeps_known)s: most of a file that comes again is such, and needs no more than a join.
create temporary table judged on commit drop as
with stored as (
    select t.*
    from {table} as t
    where
        t.instrument = any(%(instruments)s) and t.space = %(space)s
        and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
        and t.sequence between %(lowest_sequence)s and %(highest_sequence)s
),

ended as (
    select
        r.*,
        coalesce(b.time_unit, 'us') as told_unit
    from {revisions} as r
    left join ingest_batches as b on r.batch_id = b.batch_id
    where
        r.instrument = any(%(instruments)s) and r.space = %(space)s and r.kind <> 'undo'
        and r.sequence between %(lowest_sequence)s and %(highest_sequence)s
        and r.event_time >= %(day_before)s and r.event_time < %(days_after)s
        -- What a batch ended that was itself taken back may come in again.
        and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = r.ended_by_batch_id)
),

matched as (
    select
        i.*,
        t.event_time as stored_time,
        t.batch_id as stored_batch,
        {stored_values},
        t.instrument is not null as is_stored,
        ({same_as_stored}) as same_values,
        -- A recorder's clock is no property of the row.
        i.time_source = 'local' as is_local,
        t.time_source = 'local' as is_stored_local,
        (i.event_time = t.event_time and (i.event_time_ns is null or (i.event_time_ns is not distinct from t.event_time_ns))) as same_time,
        (i.event_time = t.event_time and t.event_time_ns is null and i.event_time_ns is not null) as adds_nanoseconds
    from incoming as i
    left join stored as t on i.instrument = t.instrument and i.sequence = t.sequence
),

numbered as (
    select
        m.*,
        (m.is_stored and m.same_values and m.same_time) as is_known,
        row_number() over same_trade as copy,
        first_value(m.line) over same_trade as first_line
    from matched as m
    where %(keeps_known)s or (m.is_stored and m.same_values and m.same_time) is not true
    window same_trade as (partition by m.instrument, m.sequence order by m.line)
),

-- A join, not a question per row: of a file of which all is new there are a million.
was_ended as (
    select distinct n.line
    from numbered as n
    inner join ended as e on n.instrument = e.instrument and n.sequence = e.sequence
    where
        e.kind = 'cancellation'
        or (
            {same_as_ended}
            and floor_time(e.event_time, %(time_unit)s) = floor_time(n.event_time, e.told_unit)
        )
),

compared as (
    select
        n.*,
        coalesce(b.time_unit, 'us') as stored_unit,
        w.line is not null as was_ended
    from numbered as n
    left join was_ended as w on n.line = w.line
    left join ingest_batches as b on n.stored_batch = b.batch_id and n.stored_time <> n.event_time
)

select
    c.*,
    case
        when c.is_known then 'duplicate'
        when c.copy > 1 then 'again'
        when not c.is_stored then case when c.was_ended then 'duplicate' else 'new' end
        when c.same_values and c.is_local then 'duplicate'
        when c.same_values and c.is_stored_local then 'finer'
        when c.same_values and c.adds_nanoseconds then 'finer'
        when
            c.same_values and unit_rank(%(time_unit)s) > unit_rank(c.stored_unit)
            and floor_time(c.event_time, c.stored_unit) = c.stored_time
            then 'finer'
        when
            c.same_values and unit_rank(%(time_unit)s) < unit_rank(c.stored_unit)
            and floor_time(c.stored_time, %(time_unit)s) = c.event_time
            then 'duplicate'
        when c.was_ended then 'duplicate'
        else 'conflict'
    end as verdict
from compared as c;
