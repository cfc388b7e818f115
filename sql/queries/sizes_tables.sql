-- Bytes of every table, and of every partition that is one: what its rows take with what was moved out of line, and its indexes.
-- `day` is the first day of a partition by range; `rows_estimated` is the planner's, null where it never looked.
select
    coalesce(parent.relname, c.relname) as relation,
    substring(pg_get_expr(c.relpartbound, c.oid) from '\d{4}-\d\d-\d\d')::date as day,
    coalesce(pg_table_size(c.oid), 0) as table_bytes,
    coalesce(pg_indexes_size(c.oid), 0) as index_bytes,
    case when c.reltuples >= 0 then c.reltuples::bigint end as rows_estimated
from pg_class as c
left join pg_inherits as i on c.oid = i.inhrelid and c.relispartition
left join pg_class as parent on i.inhparent = parent.oid
where c.relkind in ('r', 'm') and c.relnamespace in ('public'::regnamespace, 'iceberg'::regnamespace)
order by 1, 2;
