-- The newest row of features of each instrument that had closed and could be used by a time: a minute that is open has a row, too.
select {columns}
from (
    select distinct i.instrument as name
    from instruments as i
) as named
cross join
    lateral (
        select r.*
        from features_1m as r
        where r.instrument = named.name and r.event_time <= %(until)s and r.available_at <= %(until)s
        order by r.event_time desc
        limit 1
    ) as f
order by f.instrument;
