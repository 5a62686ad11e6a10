import pg from 'pg';

export class Pool extends pg.Pool {}
