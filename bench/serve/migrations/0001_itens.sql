create table itens (id int primary key, nome text not null, descricao text not null, valor numeric not null);
insert into itens
select id, 'Campanha ' || id, repeat('Uma descrição que alguém leria. ', 3), id * 10.5
from generate_series(1, 1000) as id;
