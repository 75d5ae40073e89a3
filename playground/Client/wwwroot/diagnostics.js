export const version = () => 42;
