-- The columns of every unique index of a table that covers all its rows.
select array_agg(a.attname::text order by a.attname) as columns
from pg_index as i
cross join unnest(i.indkey::smallint[]) as k (attnum)
inner join pg_attribute as a on i.indrelid = a.attrelid and k.attnum = a.attnum
where
    i.indrelid = to_regclass(%(table)s) and i.indisunique and i.indisvalid and i.indimmediate
    and i.indpred is null and i.indexprs is null
group by i.indexrelid;
