-- The partitions of the tables of ticks, each with whether it was moved since it last changed.
select
    p.relname as relation,
    c.relname as part,
    to_date(right(c.relname, 8), 'YYYYMMDD') as day,
    coalesce(
        d.moved_through >= (
            select coalesce(max(l.invalidation_id), 0) from invalidation_log as l
            where l.relation = p.relname and l.day = to_date(right(c.relname, 8), 'YYYYMMDD')
        ),
        false
    ) as is_moved
from pg_class as p
inner join pg_inherits as i on p.oid = i.inhparent
inner join pg_class as c on i.inhrelid = c.oid
left join converting.days as d on p.relname = d.relation and d.day = to_date(right(c.relname, 8), 'YYYYMMDD')
where p.relkind = 'p' and p.relnamespace = 'public'::regnamespace
order by p.relname, c.relname;
