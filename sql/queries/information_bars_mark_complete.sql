-- Tells of an instrument's bars of one kind and day, of which the trades are not in the database, whether they are complete by what the
-- coverage says now; answers the time that each spans of which that changed.
with stamp as materialized (
    -- After this statement's snapshot: what that shows was known by then.
    select clock_timestamp() as known_at
),

tape as (
    select c.covered + c.accepted as whole from coverage as c
    where c.instrument = %(instrument)s and c.stream = %(stream)s and c.day = %(day)s
),

judged as (
    select
        b.rule,
        b.bar_index,
        coalesce(
            (select tape.whole from tape)
            @> case when b.is_full then tstzrange(%(from_time)s, b.bar_end, '[]') else tstzrange(%(from_time)s, %(to_time)s) end,
            false
        ) as is_complete
    from {target} as b
    where b.instrument = %(instrument)s and b.day = %(day)s
)

update {target} as b
set
    is_complete = j.is_complete,
    known_at = (select stamp.known_at from stamp)
from judged as j
where
    b.instrument = %(instrument)s and b.day = %(day)s and b.rule = j.rule and b.bar_index = j.bar_index
    and b.is_complete <> j.is_complete
returning b.bar_start, b.bar_end;
