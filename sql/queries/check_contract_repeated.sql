-- Rows that share their key with another one, and some of these keys.
select
    coalesce(sum(g.rows_of_it), 0)::bigint as broken,
    coalesce((array_agg(g.example order by g.example))[1:5], '{{}}') as examples
from (
    select
        count(*) as rows_of_it,
        concat_ws(' ', {columns}) as example
    from {table}
    where {chosen}
    group by {columns}
    having count(*) > 1
) as g;
