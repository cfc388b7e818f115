-- Rows of a batch of Great Expectations whose time lies before that of the row before them along the ids.
select o.* from (
    select
        {columns},
        {time} < lag({time}) over (partition by {within} order by {along}, {time}) as steps_back
    from {batch}
) as o
where o.steps_back;
