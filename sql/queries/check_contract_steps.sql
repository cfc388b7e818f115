-- Rows whose time lies before that of the row before them along the ids, and some of them.
select
    count(*) as broken,
    coalesce((array_agg(o.example))[1:5], '{{}}') as examples
from (
    select
        concat_ws(' ', {columns}) as example,
        {time} < lag({time}) over (partition by {within} order by {along}, {time}) as steps_back
    from {table}
    where {chosen}
) as o
where o.steps_back;
