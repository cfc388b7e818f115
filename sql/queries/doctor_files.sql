-- Files with rows that wait in quarantine, and files that were refused for a day; the most rows first. Whether something is missed of them:
-- a line of ticks whose place another source filled leaves no gap.
select name, reason, row_count, is_missed
from (
    select
        f.name,
        q.reason,
        count(*) as row_count,
        bool_or(
            q.reason = 'conflict' or f.stream = 'venue_bars' or q.instrument is null or exists (
                select from gaps as g
                where
                    g.instrument = q.instrument and g.cause = 'quarantined' and g.state in ('open', 'healing')
                    and (g.from_time at time zone 'utc')::date <= q.day and (g.to_time at time zone 'utc')::date >= q.day
            )
        ) as is_missed
    from quarantine as q
    inner join landing_files as f on q.file_id = f.file_id
    where q.state = 'quarantined'
    group by f.name, q.reason
    union all
    select
        f.name,
        d.refused as reason,
        d.rows_read as row_count,
        true as is_missed
    from landing_days as d
    inner join landing_files as f on d.file_id = f.file_id
    where d.refused is not null
) as waiting
order by row_count desc, name asc;
