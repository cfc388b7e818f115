-- Files with rows that wait in quarantine, and files that were refused for a day; the most rows first.
select name, reason, row_count
from (
    select
        f.name,
        q.reason,
        count(*) as row_count
    from quarantine as q
    inner join landing_files as f on q.file_id = f.file_id
    where q.state = 'quarantined'
    group by f.name, q.reason
    union all
    select
        f.name,
        d.refused as reason,
        d.rows_read as row_count
    from landing_days as d
    inner join landing_files as f on d.file_id = f.file_id
    where d.refused is not null
) as waiting
order by row_count desc, name asc;
